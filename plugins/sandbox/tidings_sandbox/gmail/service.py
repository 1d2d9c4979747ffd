"""The emulated Gmail: mailboxes, watches on them, and the Pub/Sub that carries what the watches tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from tidings_sandbox.gmail.api import READING, MailApi
from tidings_sandbox.gmail.letters import Letter, invented, mailbox_of
from tidings_sandbox.gmail.mailbox import Mailbox, Message
from tidings_sandbox.gmail.pubsub_api import PubSubApi
from tidings_sandbox.gmail.watches import Watches
from tidings_sandbox.google import GoogleService, google_options
from tidings_sandbox.google.accounts import CERTS_PATH
from tidings_sandbox.google.pubsub import PubSub, PushConfig, Subscription
from tidings_sandbox.google.serviceaccounts import PROJECT, SERVICE_ACCOUNT, service_account_key
from tidings_sandbox.happenings import Happening
from tidings_sandbox.people import Person
from tidings_sandbox.stage import Stage
from tidings_sandbox.tokens import Access
from tidings_sandbox.wire import Answer, Call, encode

TOPIC: Final = f"projects/{PROJECT}/topics/gmail"
#: The subscription that pushes, and one from which the same can be pulled.
SUBSCRIPTION: Final = f"projects/{PROJECT}/subscriptions/gmail"
PULL_SUBSCRIPTION: Final = f"projects/{PROJECT}/subscriptions/gmail-pull"

_OLD_MAILS: Final = 4


class _Details(msgspec.Struct, frozen=True):
    """What `act` understands."""

    subject: str = ""
    sender: str = ""
    text: str = ""
    labels: tuple[str, ...] = ("INBOX", "UNREAD")
    message: str = ""
    thread: str = ""
    ago_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Gmail(GoogleService):
    """Gmail: mails that arrive, are sent, drafted, read, moved and deleted.

    `act` understands these details: `subject`, `sender`, `text`, `labels`, `thread` and `ago_seconds` (how long ago
    it was received) of a mail, and `message`, the id of the one that is read, archived or deleted.

    Attributes:
        pubsub: Topics and subscriptions of the project.
        subscription: The one that pushes, unless its `push` is taken away.
        watches: Who is told of changes.
        mail_api: Quotas.
        pull_api: How long a pull waits.
    """

    name: ClassVar[str] = "gmail"
    title: ClassVar[str] = "Gmail"
    scopes: ClassVar[frozenset[str]] = READING
    kinds: ClassVar[Mapping[str, str]] = {
        "mail": "Let a mail arrive",
        "send": "Send a mail",
        "draft": "Write a draft",
        "read": "Read the newest mail",
        "archive": "Archive the newest mail",
        "delete": "Delete the oldest mail",
    }
    small: ClassVar[Sequence[str]] = ("mail",)

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        keys = self.accounts.keys
        self.pubsub = PubSub(stage, self.courier, keys, self.now)
        push = PushConfig(f"{stage.public_url}/api/webhooks/{self.name}", SERVICE_ACCOUNT)
        self.subscription: Subscription = self.pubsub.subscribe(SUBSCRIPTION, TOPIC, push)
        self.pubsub.subscribe(PULL_SUBSCRIPTION, TOPIC)
        self.watches = Watches(PROJECT, self.pubsub, self.faults, self.now)
        self.mail_api = MailApi(self.watches, self.now)
        self.pull_api = PubSubApi(self.pubsub, self.accounts.service_accounts)
        self._mailboxes: dict[str, Mailbox] = {}

    @classmethod
    def options(cls, base: str, seed: int, *, lively: bool) -> Mapping[str, Any]:
        """Its API, and a topic whose subscription pushes here.

        With `subscription: {PULL_SUBSCRIPTION}` in its own options a connector pulls instead: it is given the key.
        """
        shared = google_options(base, seed)
        return {
            **shared,
            "api_url": f"{base}/gmail/v1",
            "topic": TOPIC,
            "service_account": SERVICE_ACCOUNT,
            "jwks_url": f"{base}{CERTS_PATH}",
            "pubsub_url": f"{base}/v1",
            "service_account_key": encode(service_account_key(shared["token_url"])).decode(),
        }

    def mailbox(self, person: Person) -> Mailbox:
        """This person's mailbox; some mails are in it from the start."""
        mailbox = self._mailboxes.get(person.key)
        if mailbox is None:
            mailbox = Mailbox(
                person.google_email,
                self.stage.serial,
                self.now,
                lambda change: self.watches.notice(self._mailboxes[person.key], change),
            )
            self._mailboxes[person.key] = mailbox
            for days in range(_OLD_MAILS, 0, -1):
                self._receive(person, self._written(person), ago=timedelta(days=days))
        return mailbox

    def describe(self) -> Mapping[str, Any]:
        """What is sent to tidings, and what is on its way."""
        return {
            "testing": self.accounts.testing,
            "messages_waiting": len(self.subscription.waiting),
            "notifications_dropped": self.watches.dropped,
        }

    # --- what happens ---

    def act(self, kind: str, person: Person, details: Mapping[str, Any]) -> Happening:
        """Make something happen. Only of what arrives in the inbox tidings is to tell: nothing else is recorded."""
        wanted = _details(details)
        mailbox = self.mailbox(person)
        if kind == "mail":
            return self._arrive(person, wanted)
        if kind == "send":
            self._send(mailbox, person, wanted, ["SENT"])
            return self._happening(kind, person, "sent a mail")
        if kind == "draft":
            # Each time a draft is saved, a message takes the place of the one before.
            first = self._send(mailbox, person, wanted, ["DRAFT"])
            mailbox.delete(first)
            self._send(mailbox, person, wanted, ["DRAFT"], thread_id=first.thread_id)
            return self._happening(kind, person, "wrote a draft")
        if kind == "read":
            mailbox.relabel(self._one(person, wanted, lambda labels: "UNREAD" in labels), remove=["UNREAD"])
            return self._happening(kind, person, "read a mail")
        if kind == "archive":
            mailbox.relabel(self._one(person, wanted, lambda labels: "INBOX" in labels), remove=["INBOX"])
            return self._happening(kind, person, "archived a mail")
        if kind == "delete":
            mailbox.delete(self._one(person, wanted, lambda _: True, newest=False))
            return self._happening(kind, person, "deleted a mail")
        raise LookupError(f"Gmail knows no {kind!r}. There are: {', '.join(self.kinds)}.")

    def _arrive(self, person: Person, wanted: _Details) -> Happening:
        letter = self._written(person, wanted)
        ago = timedelta(seconds=wanted.ago_seconds)
        message = self._receive(person, letter, wanted.labels, thread_id=wanted.thread, ago=ago)
        happening = Happening(
            self.name,
            person.key,
            "mail",
            self.now(),
            f"{self.name}:{person.google_sub}:message:{message.id}",
            f"{person.name} got a mail: {letter.subject}",
        )
        return self.stage.record.add(happening) if "INBOX" in wanted.labels else happening

    def _written(self, person: Person, wanted: _Details | None = None) -> Letter:
        letter = invented(self.chance, [one for one in self.stage.people if one.key != person.key])
        if wanted is None:
            return letter
        return Letter(
            wanted.sender or letter.sender, wanted.subject or letter.subject, wanted.text or letter.text
        )

    def _receive(
        self,
        person: Person,
        letter: Letter,
        labels: Sequence[str] = ("INBOX", "UNREAD"),
        *,
        thread_id: str = "",
        ago: timedelta = timedelta(),
    ) -> Message:
        at = self.now() - ago
        headers = letter.headers(person, self._message_id(), at)
        return self._mailboxes[person.key].add(
            headers, letter.snippet, labels, thread_id=thread_id, received_at=at
        )

    def _send(
        self,
        mailbox: Mailbox,
        person: Person,
        wanted: _Details,
        labels: Sequence[str],
        *,
        thread_id: str = "",
    ) -> Message:
        """The person writes to whoever would have written to them."""
        letter = self._written(person, wanted)
        headers = {**letter.headers(person, self._message_id(), self.now()), "To": letter.sender}
        headers["From"] = mailbox_of(person)
        return mailbox.add(headers, letter.snippet, labels, thread_id=thread_id or wanted.thread)

    def _message_id(self) -> str:
        return f"{self.chance.getrandbits(96):024x}"

    def _one(
        self, person: Person, wanted: _Details, fits: Callable[[Sequence[str]], bool], *, newest: bool = True
    ) -> Message:
        """The message that is named, or one that fits: the newest or the oldest.

        Raises:
            LookupError: There is none.
        """
        mailbox = self.mailbox(person)
        named = mailbox.get(wanted.message)
        fitting = [message for message in mailbox if fits(message.labels)]
        if (wanted.message and named is None) or (not wanted.message and not fitting):
            raise LookupError(f"{person.name} has no such mail.")
        return named or fitting[-1 if newest else 0]

    def _happening(self, kind: str, person: Person, what: str) -> Happening:
        key = f"{kind}:{self.mailbox(person).history_id}"
        return Happening(self.name, person.key, kind, self.now(), key, f"{person.name} {what}")

    # --- the APIs ---

    async def ready(self, call: Call) -> None:
        """Let a pull wait for a message."""
        await self.pull_api.ready(call)

    def serve(self, call: Call) -> Answer:
        """Answer a request to the Gmail API, or to Pub/Sub."""
        pulled = self.pull_api.answer(call)
        if pulled is not None:
            return pulled
        access = self.admit(call, READING)
        if not isinstance(access, Access):
            return access
        return self.mail_api.answer(call, access, self.mailbox(access.person))

    # --- what the control page shows and changes ---

    def hooks(self) -> Sequence[Mapping[str, Any]]:
        """The living watches."""
        push, last_status = self.subscription.push, self.subscription.last_status or None
        shown = []
        for person in self.stage.people:
            mailbox = self._mailboxes.get(person.key)
            watch = None if mailbox is None else self.watches.of(mailbox)
            if mailbox is not None and watch is not None:
                shown.append(
                    {
                        "id": person.number + 1,
                        "owner": person.key,
                        "target": mailbox.address,
                        "url": push.endpoint if push else "",
                        "active": True,
                        "events": sorted(watch.labels),
                        "last_status": last_status,
                    }
                )
        return shown

    def change_hook(self, hook_id: int, change: Literal["delete", "disable", "enable"]) -> None:
        """End a watch: as by `stop`, or (`disable`) as when nobody renews it. Only its owner begins one.

        Raises:
            LookupError: There is none, or it is to be enabled.
        """
        watched = {hook["id"]: hook["owner"] for hook in self.hooks()}
        if hook_id not in watched or change == "enable":
            raise LookupError(f"Gmail has no watch {hook_id} that can be {change}d.")
        mailbox = self._mailboxes[watched[hook_id]]
        (self.watches.stop if change == "delete" else self.watches.lapse)(mailbox)


def _details(given: Mapping[str, Any]) -> _Details:
    try:
        return msgspec.convert(given, _Details)
    except msgspec.ValidationError as error:
        raise LookupError(f"There is no such detail: {error}.") from error
