"""Messages of clients: whatever they hold, they are a command or refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidings.errors import Rejected
from tidings_transports.closes import CLOSES, close_for
from tidings_transports.commands import Auth, Command, Ping, Pong, Subscribe, Sync, parse_command

# Text as it can come: a message is UTF-8, so nothing in it is half a character.
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
_commands = st.one_of(
    st.builds(Auth, id=_ids, token=_texts.filter(bool)),
    st.builds(Auth, id=_ids, ticket=_texts.filter(bool)),
    st.builds(
        Subscribe, id=_ids, after=_texts, types=st.lists(_texts, max_size=3), platforms=st.lists(_texts)
    ),
    st.builds(Sync, id=_ids, connection=_texts.filter(bool)),
    st.builds(Ping, id=_ids),
    st.builds(Pong, id=_ids),
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_fields = st.sampled_from(["type", "id", "token", "ticket", "after", "types", "platforms", "connection", "x"])
_types = st.sampled_from(["auth", "subscribe", "sync", "ping", "pong", "ack", "Auth", ""])


@given(_commands)
def test_a_command_is_read_as_it_was_meant(command: Command) -> None:
    assert parse_command(msgspec.json.encode(command).decode()) == command


@given(_texts)
@example("[" * 100_000)
@example('{"type":"ping"}' + " " * 1000 + "}")
@example('{"type":"ping","type":"pong"}')
@example('{"type":"ping","id":"\\ud800"}')
@example("\ufeff{}")
def test_any_other_text_is_refused_and_never_an_error(text: str) -> None:
    try:
        parse_command(text)
    except Rejected as error:
        assert error.status == 400
        assert len(str(error)) < 300


@given(st.dictionaries(_fields, _values, max_size=5), _types)
def test_fields_of_any_sort_are_a_command_or_refused(fields: dict[str, Any], kind: str) -> None:
    try:
        command = parse_command(json.dumps({**fields, "type": kind}))
    except Rejected:
        return
    assert type(command).__name__.lower() == kind
    assert set(fields) - {"type"} <= set(command.__struct_fields__)


@given(st.text("abcdefgh0123456789_-", min_size=8, max_size=60), st.sampled_from(["token", "ticket"]))
def test_a_refusal_never_repeats_a_credential(secret: str, word: str) -> None:
    for message in ({word: secret, "extra": 1}, {word: [secret]}, {"token": secret, "ticket": secret}):
        with pytest.raises(Rejected) as caught:
            parse_command(json.dumps({"type": "auth", **message}))
        assert secret not in str(caught.value)
    assert secret not in repr(parse_command(json.dumps({"type": "auth", word: secret})))


def test_every_reason_to_close_has_a_code_of_its_own_that_a_server_may_send() -> None:
    assert len({one.code for one in CLOSES}) == len({one.reason for one in CLOSES}) == len(CLOSES)
    for one in CLOSES:
        # RFC 6455, section 7.4: 1004 to 1006 and 1015 are never sent.
        assert one.code in {1003, 1009, 1011, 1012, 1013} or 4000 <= one.code < 5000
        assert len(one.reason.encode()) <= 123
        assert close_for(one.reason) is one
    assert close_for("a reason that nobody knows").code == 1011
