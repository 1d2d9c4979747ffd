"""Gmail for tidings: new mails, of which Google tells through Pub/Sub, or which are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tidings.config import Secret
from tidings.context import Context
from tidings.contracts import Connector
from tidings.durations import Duration
from tidings.hooks import Plugin, hookimpl
from tidings_gmail.connector import GmailConnector
from tidings_gmail.queue import Queue
from tidings_gmail.rules import Rules
from tidings_gmail.serviceaccount import ServiceAccount, read_key
from tidings_gmail.verify import Sender
from tidings_gmail.watch import Watching
from tidings_google import GoogleOptions, Url


def _named(kind: str) -> AfterValidator:
    def check(name: str | None) -> str | None:
        parts = (name or "").split("/")
        if name and not (len(parts) == 4 and parts[::2] == ["projects", kind] and all(parts)):
            raise ValueError(f"{name!r} is no name. Write projects/your-project/{kind}/its-name.")
        return name or None

    return AfterValidator(check)


class GmailOptions(GoogleOptions):
    """What stands under `plugins.connectors.gmail`.

    Attributes:
        scope: What is asked for: `metadata` shows tidings the headers of mails; `readonly` lets Google also show the
            beginning of their text where it withholds that from the smaller right.
        poll_every: How often to ask where nothing is pushed.
        label_changes: Whether to tell, too, that a mail got or lost a label.
        topic: The Pub/Sub topic to which Gmail publishes: `projects/your-project/topics/gmail`. Without one all
            mailboxes are asked.
        service_account: The service account whose token comes with each push, as an address.
        audience: What that token is for, where the subscription says something else than the push endpoint.
        subscription: A pull subscription to the topic, where nothing can reach tidings from outside:
            `projects/your-project/subscriptions/gmail`.
        service_account_key: The key file (JSON) of a service account that may pull from it.
        units_per_minute: Quota units of each account; Google allows 6,000, and a mail takes 22.
        api_url: The Gmail API.
        pubsub_url: The Pub/Sub API.
        jwks_url: Where Google publishes the keys that it signs pushes with.
    """

    scope: Literal["metadata", "readonly"] = "metadata"
    poll_every: Duration = 3600.0
    label_changes: bool = False
    topic: Annotated[str | None, _named("topics")] = None
    service_account: str | None = None
    audience: str | None = None
    subscription: Annotated[str | None, _named("subscriptions")] = None
    service_account_key: Secret = None
    units_per_minute: int = Field(default=6000, ge=100)
    api_url: Url = "https://gmail.googleapis.com/gmail/v1"
    pubsub_url: Url = "https://pubsub.googleapis.com/v1"
    jwks_url: Url = "https://www.googleapis.com/oauth2/v3/certs"


class GmailPlugin(Plugin):
    """Offers the Gmail connector."""

    options_model = GmailOptions
    options: GmailOptions

    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        """Return the one connector.

        Raises:
            ConfigError: The service account's key is none.
        """
        options = self.options
        key = options.service_account_key
        queue = None
        if options.subscription and key is not None:
            account = ServiceAccount(read_key(key.get_secret_value()), context.http, context.clock)
            queue = Queue(
                account, context.http, context.clock, f"{options.pubsub_url}/{options.subscription}"
            )
        callback_url = f"{context.public_url}/api/webhooks/gmail"
        return [
            GmailConnector(
                options,
                context.http,
                api_url=options.api_url,
                rules=Rules(
                    options.scope, options.poll_every, options.units_per_minute, options.label_changes
                ),
                sender=Sender(options.audience or callback_url, options.service_account or ""),
                watching=Watching(context.clock, options.topic or ""),
                queue=queue,
                jwks_url=options.jwks_url,
            )
        ]
