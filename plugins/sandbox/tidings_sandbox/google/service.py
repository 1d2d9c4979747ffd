"""What Gmail, Calendar and YouTube have in common as emulators."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar

from tidings_sandbox.dialects import Dialect
from tidings_sandbox.emulator import Emulator
from tidings_sandbox.google.accounts import CERTS_PATH, CLIENT_ID, REVOKE_PATH, USERINFO_PATH, GoogleAccounts
from tidings_sandbox.google.consents import google_dialect, opens
from tidings_sandbox.google.replies import insufficient, unauthorised
from tidings_sandbox.oauth import AuthorizationServer
from tidings_sandbox.tokens import Access, Consent
from tidings_sandbox.wire import Answer, Call


class GoogleService(Emulator):
    """One of Google's services: consents, tokens and keys are those of all; faults and webhooks its own.

    Below its address lies also what is shared: `/o/oauth2/v2/auth`, `/token`, `/revoke`, `/v1/userinfo` and
    `/oauth2/v3/certs`; tokens got at one service are good at all. Lead a connector here with `google_options`.

    Attributes:
        scopes: Any one of them opens something here, by its full name.
    """

    client_ids: ClassVar[Sequence[str]] = (CLIENT_ID,)
    scopes: ClassVar[frozenset[str]]

    @property
    def accounts(self) -> GoogleAccounts:
        """What all Google services of this world share."""
        return self.stage.part(GoogleAccounts)

    @classmethod
    def dialect(cls) -> Dialect:
        """Google's."""
        return google_dialect()

    def authorization(self) -> AuthorizationServer:
        """That of all Google services."""
        return self.accounts.oauth

    def agreed(self) -> Sequence[Consent]:
        """The living consents to this service."""
        return [consent for consent in self.consents.living() if opens(consent, self.scopes)]

    def answer(self, call: Call) -> Answer:
        """Answer a request at once."""
        return self.accounts.answer(call) or self.serve(call)

    @abstractmethod
    def serve(self, call: Call) -> Answer:
        """Answer a request to the service's own API."""

    def sort(self, path: str) -> str:
        """Identity and revocation belong to the consent; the API's host answers none of these."""
        return "consent" if path in {REVOKE_PATH, USERINFO_PATH, CERTS_PATH} else super().sort(path)

    def admit(self, call: Call, scopes: Collection[str]) -> Access | Answer:
        """What the request's token opens, if it has one of these scopes; else the refusal."""
        access = self.consents.authenticate(call)
        if access is None:
            return unauthorised()
        return insufficient() if access.scopes.isdisjoint(scopes) else access
