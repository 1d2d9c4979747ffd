"""What an emulated platform knows of people's consents to apps, and of the tokens that came of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from tidings_sandbox.apps import App, basic_credentials
from tidings_sandbox.dialects import Dialect, months_later
from tidings_sandbox.people import Person
from tidings_sandbox.redemptions import Redemptions
from tidings_sandbox.stage import Stage
from tidings_sandbox.tokens import MARK, Access, Code, Consent, Mint, Token
from tidings_sandbox.wire import Call

_CODE_LIFE: Final = timedelta(minutes=10)

TokenAnswer = dict[str, Any]


class Consents:
    """The apps, consents and tokens of one platform.

    Attributes:
        dialect: The platform's rules; may be changed in place.
        redemptions: Every refresh token that came.
        now: The platform's clock.

    Args:
        stage: People, and numbers that grow.
        dialect: The platform's rules.
        now: The platform's clock.
    """

    def __init__(self, stage: Stage, dialect: Dialect, now: Callable[[], datetime]) -> None:
        self.dialect = dialect
        self.redemptions = Redemptions()
        self._stage = stage
        self.now = now
        self._mint = Mint(stage.seed, dialect.title)
        self._apps: dict[str, App] = {}
        self._codes: dict[str, Code] = {}
        self._consents: dict[int, Consent] = {}
        self._known: dict[str, Access] = {}
        self._served: dict[str, dict[str, None]] = {}

    # --- apps ---

    def register(self, client_id: str, *redirect_uris: str) -> App:
        """Register an app. Its secret follows from its id and the seed."""
        app = App(client_id, self._mint.secret(client_id), redirect_uris)
        self._apps[client_id] = app
        return app

    def app(self, client_id: str) -> App | None:
        """The app of this id."""
        return self._apps.get(client_id)

    def app_by_basic(self, call: Call) -> App | None:
        """The app that shows its id and secret by HTTP Basic; None without, or with wrong ones."""
        shown = basic_credentials(call)
        app = None if shown is None else self._apps.get(shown[0])
        return app if shown is not None and app is not None and app.client_secret == shown[1] else None

    def serves(self, client_id: str, person: str) -> bool:
        """Whether the person is among those whom the app may serve: the first few who came to it."""
        most = self.dialect.most_people
        if most is None:
            return True
        served = self._served.setdefault(client_id, {})
        if person not in served and len(served) < most:
            served[person] = None
        return person in served

    # --- consents ---

    def grant_code(
        self,
        app: App,
        person: Person,
        scopes: Iterable[str],
        redirect_uri: str,
        asked: Mapping[str, str] | None = None,
    ) -> str:
        """The person agrees: a code for the app, good once, for ten minutes.

        Args:
            app: To whom.
            person: Who.
            scopes: What was agreed to.
            redirect_uri: Where the code will be sent; the exchange must name the same.
            asked: The parameters of the authorization request; `code_challenge` is that of PKCE with S256.
        """
        now, asked = self.now(), asked or {}
        for old in [old for old, waiting in self._codes.items() if waiting.expires_at <= now]:
            del self._codes[old]
        code = MARK + secrets.token_urlsafe(24)
        self._codes[code] = Code(
            app.client_id,
            person.key,
            tuple(scopes),
            redirect_uri,
            asked.get("code_challenge", ""),
            now + _CODE_LIFE,
            asked,
        )
        return code

    def take_code(self, code: str) -> Code | None:
        """Use up a code; None for one that was used, is too old or never was."""
        taken = self._codes.pop(code, None)
        return taken if taken is not None and self.now() < taken.expires_at else None

    def open(self, code: Code) -> TokenAnswer:
        """Begin a consent with the tokens for a code."""
        expires = self.dialect.expires == "always" or "offline_access" in code.scopes
        return self.issue(self.begin(code), expires=expires, with_refresh=expires)

    def begin(self, code: Code) -> Consent:
        """Begin a consent."""
        scopes = self.normalised(code.scopes)
        consent = Consent(
            id=self._stage.serial(),
            person=code.person,
            client_id=code.client_id,
            scopes=scopes,
            public=bool(code.challenge),
            consented_at=self.now(),
        )
        alike = [
            other
            for other in self.living(code.person)
            if other.client_id == code.client_id and other.scopes == scopes
        ]
        most = self.dialect.most_consents
        if most is not None and len(alike) >= most:
            self._end(alike[0])
        self._consents[consent.id] = consent
        return consent

    def living(self, person: str = "") -> list[Consent]:
        """The consents that nobody took back, of everybody or of one person; oldest first."""
        return [
            consent
            for consent in self._consents.values()
            if not consent.ended and person in {"", consent.person}
        ]

    def revoke(self, *, person: str = "", client_id: str = "") -> int:
        """Take back what one person (or everybody) agreed to, for one app or all; how many consents ended."""
        ending = [consent for consent in self.living(person) if client_id in {"", consent.client_id}]
        for consent in ending:
            self._end(consent)
        return len(ending)

    def revoke_token(self, text: str) -> bool:
        """End the consent that a living access token comes from; False if it was dead already."""
        access = self.check(text)
        if access is None:
            return False
        self._end(self._consents[access.token.consent_id])
        return True

    def expire_access(self, person: str = "") -> int:
        """Let all access tokens end now, of everybody or of one person; how many consents it concerns."""
        consents = self.living(person)
        for consent in consents:
            consent.dead_access = self._stage.serial()
        return len(consents)

    def expire_refresh(self, person: str = "") -> int:
        """Let all refresh tokens end now, of everybody or of one person; how many consents it concerns."""
        consents = self.living(person)
        for consent in consents:
            consent.dead_refresh = self._stage.serial()
        return len(consents)

    # --- tokens ---

    def authenticate(self, call: Call) -> Access | None:
        """What the request's bearer token opens; None without a living one."""
        scheme, _, text = call.headers.get(b"authorization", b"").partition(b" ")
        if scheme not in {b"Bearer", b"bearer", b"token"}:
            return None
        return self.check(text.decode("latin-1"))

    def check(self, text: str) -> Access | None:
        """What an access token opens; None if it is dead or never was."""
        access = self._known.get(text) or self._recognised(text)
        if access is None:
            return None
        consent = self._consents[access.token.consent_id]
        now = self.now()
        if access.token.serial <= consent.dead_access or access.token.expired(now):
            return None
        if not self.dialect.access_outlives_consent and self.is_over(consent, now):
            return None
        return access

    def redeem(self, text: str, app: App, *, has_secret: bool, answered: bool = True) -> TokenAnswer | str:
        """Redeem a refresh token.

        Args:
            text: The token.
            app: Who redeems it.
            has_secret: Whether the app proved that it is itself; else the consent must have been made with PKCE.
            answered: Whether the caller will see the answer.

        Returns:
            The token answer, or the reason against it: `client`, `refresh` or `revoked`.
        """
        rotates = self.dialect.rotation == "single_use"
        outcome = self._redeem(text, app, has_secret=has_secret)
        accepted = not isinstance(outcome, str)
        self.redemptions.note(text, at=self.now(), accepted=accepted, answered=answered, rotates=rotates)
        return outcome

    def _redeem(self, text: str, app: App, *, has_secret: bool) -> TokenAnswer | str:
        token = self.read_refresh(text)
        if token is None or token.client_id != app.client_id:
            return "refresh"
        if not has_secret and not token.public:
            return "client"
        now = self.now()
        consent = self.adopted(token)
        if consent is None or token.expired(now) or self.is_over(consent, now):
            return "revoked"
        if token.serial <= consent.dead_refresh:
            rotated_at = consent.rotated_at.get(token.serial)
            if rotated_at is None or (now - rotated_at).total_seconds() >= self.dialect.grace_seconds:
                return "revoked"
            return consent.last_answer
        if self.dialect.access_dies_at_refresh:
            consent.dead_access = self._stage.serial()
        rotates = self.dialect.rotation
        if rotates == "single_use":
            consent.dead_refresh = token.serial
            consent.rotated_at = {token.serial: now}
        consent.last_answer = self.issue(consent, expires=True, with_refresh=rotates != "never")
        return consent.last_answer

    def read_refresh(self, text: str) -> Token | None:
        """What stands in a refresh token, living or dead; None where none of this platform's reads so."""
        token = self._mint.read(text, self.dialect.refresh_prefix)
        return token if token is not None and token.kind == "r" else None

    def issue(self, consent: Consent, *, expires: bool, with_refresh: bool) -> TokenAnswer:
        """New tokens of a consent, as the token endpoint answers them."""
        dialect = self.dialect
        access = self._token("a", consent, dialect.access_seconds if expires else None)
        access_text = self._mint.make(access, dialect.access_prefix)
        self._remember(access_text, access, consent)
        answer: TokenAnswer = {"access_token": access_text}
        if expires:
            answer["expires_in"] = dialect.access_seconds
        if with_refresh:
            refresh = self._token("r", consent, dialect.refresh_seconds)
            answer["refresh_token"] = self._mint.make(refresh, dialect.refresh_prefix)
            if dialect.refresh_seconds is not None:
                answer["refresh_token_expires_in"] = dialect.refresh_seconds
        answer["scope"] = dialect.scope_separator.join(consent.scopes)
        answer["token_type"] = dialect.token_type
        return answer

    def _token(self, kind: Literal["a", "r"], consent: Consent, seconds: int | None) -> Token:
        now = int(self.now().timestamp())
        return Token(
            kind,
            consent.id,
            self._stage.serial(),
            consent.person,
            consent.client_id,
            consent.scopes,
            consent.public,
            int(consent.consented_at.timestamp()),
            0 if seconds is None else now + seconds,
        )

    def _recognised(self, text: str) -> Access | None:
        """An access token of an earlier run."""
        token = self._mint.read(text, self.dialect.access_prefix)
        consent = None if token is None or token.kind != "a" else self.adopted(token)
        if token is None or consent is None:
            return None
        return self._remember(text, token, consent)

    def adopted(self, token: Token) -> Consent | None:
        """The consent of a token, taken over from an earlier run if need be."""
        if token.client_id not in self._apps or self._stage.people.get(token.person) is None:
            return None
        return self._consents.get(token.consent_id) or self._consents.setdefault(
            token.consent_id, Consent.of(token)
        )

    def _remember(self, text: str, token: Token, consent: Consent) -> Access:
        now = self.now()
        # The oldest go first, when they are dead, so that a year of refreshes does not fill the memory.
        while consent.known:
            oldest = self._known[consent.known[0]].token
            if oldest.serial > consent.dead_access and not oldest.expired(now):
                break
            del self._known[consent.known.popleft()]
        person = self._stage.people.get(token.person)
        assert person is not None, "a consent is of somebody"
        access = Access(person, token.client_id, frozenset(token.scopes), token)
        consent.known.append(text)
        self._known[text] = access
        return access

    def normalised(self, scopes: tuple[str, ...]) -> tuple[str, ...]:
        """The scopes as they are granted: each once, without those that another one contains."""
        implied = {less for scope in scopes for less in self.dialect.implied.get(scope, ())}
        kept = [scope for scope in scopes if scope not in implied and scope != "offline_access"]
        return tuple(dict.fromkeys(kept))

    def is_over(self, consent: Consent, now: datetime) -> bool:
        """Whether a consent was taken back or has reached its term."""
        if consent.ended:
            return True
        months, seconds = self.dialect.consent_months, self.dialect.consent_seconds
        if months is not None and now >= months_later(consent.consented_at, months):
            return True
        return seconds is not None and (now - consent.consented_at).total_seconds() >= seconds

    def _end(self, consent: Consent) -> None:
        consent.ended = True
