"""ntfy passes tidings' suite for transports that push."""

from tidings.testing import PushingSuite, answer


class TestNtfy(PushingSuite):
    plugin = "transport/ntfy"
    options = {"token": "tk_planted0123456789"}
    wish = {"endpoint": "https://ntfy.sh/a-topic-nobody-can-guess"}
    taken = answer({"id": "x"}, 200)
