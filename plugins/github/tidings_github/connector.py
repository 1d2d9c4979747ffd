"""The GitHub connector: the pieces beside this file, put together as the contracts want them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from tidings.contracts import Connector, Keys, Parsed, Receives, WebhookRequest
from tidings_github.parse import parse
from tidings_github.sample import push
from tidings_github.verify import verify

# A fork in the road, drawn for tidings; GitHub's own mark is a trademark.
_ICON = (
    "M6 2a3 3 0 0 1 1 5.83v8.34a3 3 0 1 1-2 0V7.83A3 3 0 0 1 6 2z"
    "m12 2a3 3 0 0 1 1 5.83V10a5 5 0 0 1-5 5H9v-2h5a3 3 0 0 0 3-3v-.17A3 3 0 0 1 18 4z"
)


class GitHubConnector(Connector, Receives):
    """Takes GitHub's webhooks: from repositories, organisations, GitHub Apps and Enterprise Server."""

    platform: ClassVar[str] = "github"
    display_name: ClassVar[str] = "GitHub"
    icon: ClassVar[str] = _ICON

    def __init__(self, shared_keys: Keys) -> None:
        self._shared_keys = shared_keys

    @property
    def shared_keys(self) -> Keys:
        """The operator's `webhook_secret`, if there is one."""
        return self._shared_keys

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        """See `tidings_github.verify`.

        GitHub signs no timestamp: a replay is caught by its delivery id and by the event's id.
        """
        verify(request, keys)

    def parse(self, request: WebhookRequest) -> Parsed:
        """See `tidings_github.parse`."""
        return parse(request)

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        """See `tidings_github.sample`."""
        return push(keys, now, serial)
