"""What an emulated platform is to the world and to the control page."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

from tidings_sandbox.consents import Consents
from tidings_sandbox.courier import Courier
from tidings_sandbox.dialects import Dialect
from tidings_sandbox.faults import Faults
from tidings_sandbox.happenings import Happening
from tidings_sandbox.oauth import AuthorizationServer
from tidings_sandbox.people import Person
from tidings_sandbox.stage import Stage
from tidings_sandbox.tokens import Consent
from tidings_sandbox.wire import Answer, Call


class Emulator(ABC):
    """One emulated platform; a world has one of each.

    Attributes:
        name: The platform's id: `github`; its addresses start with `/sandbox/{name}`.
        title: As people know it.
        client_ids: The apps that are registered from the start, with the installation's callback address.
        kinds: What can be made to happen, with a few words for the control page: `push` -> `Push a commit`.
        small: The kinds that also happen by themselves.

    Args:
        stage: What all platforms stand on.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    client_ids: ClassVar[Sequence[str]]
    kinds: ClassVar[Mapping[str, str]]
    small: ClassVar[Sequence[str]]

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.chance = stage.chance(self.name)
        self.faults = Faults(stage.clock, stage.chance(f"{self.name}/faults"))
        self.oauth = self.authorization()
        self.consents = self.oauth.consents
        self.courier = Courier(stage, self.faults)

    def authorization(self) -> AuthorizationServer:
        """The platform's authorization server, which knows its apps; called once. Several may share one."""
        consents = Consents(self.stage, self.dialect(), self.faults.now)
        for client_id in self.client_ids:
            consents.register(client_id, f"{self.stage.public_url}/api/oauth/{self.name}/callback")
        return AuthorizationServer(self.stage, consents)

    def agreed(self) -> Sequence[Consent]:
        """The living consents that open something here, oldest first."""
        return self.consents.living()

    @classmethod
    @abstractmethod
    def dialect(cls) -> Dialect:
        """How its authorization server speaks."""

    @classmethod
    @abstractmethod
    def options(cls, base: str, seed: int, *, lively: bool) -> Mapping[str, Any]:
        """What leads a connector without a client of its own here, as its options in the configuration.

        Args:
            base: The emulator's address: `http://127.0.0.1:8080/sandbox/github`.
            seed: Of the world; a client's secret follows from it.
            lively: Whether things happen by themselves, so that somebody who tries it out sees them soon.
        """

    def become_lively(self) -> None:
        """Lift what would keep somebody who tries it out from seeing things soon."""
        return

    def now(self) -> datetime:
        """The present instant by this platform's own clock, aware UTC."""
        return self.faults.now()

    async def ready(self, call: Call) -> None:
        """Wait until a request can be answered: that is at once, but for long polls."""
        return

    @abstractmethod
    def answer(self, call: Call) -> Answer:
        """Answer a request at once. `call.path` is what follows `/sandbox/{name}`: `/api/user`, `/v1/me`."""

    def sort(self, path: str) -> str:
        """What a request to this path is about: `consent`, `token`, or the platform's `api`."""
        dialect = self.consents.dialect
        return {dialect.authorize_path: "consent", dialect.token_path: "token"}.get(path, "api")

    @abstractmethod
    def act(self, kind: str, person: Person, details: Mapping[str, Any]) -> Happening:
        """Make something happen now, and record it for all who are expected to hear of it from tidings.

        Args:
            kind: One of `kinds`.
            person: Who does it.
            details: What the caller wants to be special about it, else chance decides; what is not understood
                is ignored.

        Returns:
            The happening as recorded for `person`.

        Raises:
            LookupError: No such kind, or `details` name something that is not there; says which.
        """

    def told_by(self, event: Mapping[str, Any]) -> str:
        """The `key` of the happening that an event of tidings, as `/api/events` gives it, tells of.

        By default the event's own id, for happenings that are named by it.
        """
        return str(event["id"])

    def describe(self) -> Mapping[str, Any]:
        """What the control page shows beside consents and faults, as JSON."""
        return {}

    def hooks(self) -> Sequence[Mapping[str, Any]]:
        """The webhooks that were registered here: `{id, owner, target, url, active, events, last_status}`."""
        return ()

    def change_hook(self, hook_id: int, change: Literal["delete", "disable", "enable"]) -> None:
        """What an owner does to a hook in the platform's settings.

        Raises:
            LookupError: No such hook.
        """
        raise LookupError(f"{self.title} has no hook {hook_id}.")

    def deliveries(self, hook_id: int | None = None) -> Sequence[Mapping[str, Any]]:
        """The delivery log, newest first.

        Each is `{id, hook_id, guid, event, action, delivered_at, status_code, redelivery}`.
        """
        return ()

    def redeliver(self, delivery_id: int) -> None:
        """Send a delivery once more.

        Raises:
            LookupError: No such delivery.
        """
        raise LookupError(f"{self.title} has no delivery {delivery_id}.")
