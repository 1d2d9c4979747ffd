"""Applications that a platform makes for this installation on one click (GitHub's app manifests).

The browser leaves with a form and a state that only its own session can bring back, once. What comes back is
exchanged for the application's credentials, which are sealed, stored, and used from then on and at every start.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from sqlalchemy import Connection as Sql
from sqlalchemy import Row, delete, insert, select
from structlog.typing import FilteringBoundLogger

from tidings.connecting import Connects, Draft, Drafts, Http, Manifest, Provisions
from tidings.connectors import Connector
from tidings.contracts import Clock, Principal
from tidings.database import Insert
from tidings.discretion import use_secrets
from tidings.errors import Conflict, Denied, NotFound, Rejected, Unavailable
from tidings.facts import PROVISIONS_CHANGED, increase
from tidings.health import Health
from tidings.schema import oauth_states, provisions, to_stored
from tidings.sealed import PROVISION_CREDENTIALS
from tidings.sessions import digest
from tidings.vault import Vault, VaultError
from tidings.watching import callback_url
from tidings.writer import Writer

_STATE_LIFE: Final = timedelta(hours=1)  # as long as GitHub keeps the code
_STATE_BYTES: Final = 32
# In `oauth_states`, what is no consent has no client: it can't be spent as one.
_NO_CLIENT: Final = ""


class Provisioning:
    """Has applications made, and keeps their credentials.

    Args:
        connectors: Those that can have one made fulfil `Provisions`.
        writer: Writes, and reads beside.
        vault: Seals the credentials.
        http: For the exchange of codes.
        clock: All time.
        log: One line for each application, never with its credentials.
        health: Told where stored credentials can't be used.
        public_url: Where browsers come back to, and webhooks go.
    """

    def __init__(
        self,
        connectors: Sequence[Connector],
        writer: Writer,
        vault: Vault,
        http: Http,
        clock: Clock,
        log: FilteringBoundLogger,
        health: Health,
        *,
        public_url: str,
    ) -> None:
        self._connectors = {one.platform: one for one in connectors}
        self._writer = writer
        self._vault = vault
        self._http = http
        self._clock = clock
        self._log = log
        self._health = health
        self._public_url = public_url
        self._made: set[str] = set()  # platforms whose client is one that was made so

    def is_offered(self, connector: Connector) -> bool:
        """Whether an admin can have an application made: there is none, or none but such a one."""
        if not isinstance(connector, Provisions):
            return False
        configured = isinstance(connector, Connects) and bool(connector.clients)
        return not configured or connector.platform in self._made

    def is_made(self, platform: str) -> bool:
        """Whether the platform's client in use is one that was made so."""
        return platform in self._made

    async def load(self) -> None:
        """Have the connectors use what is stored; for a start, and when another node has stored something.

        Credentials that can't be opened or used are reported, and their platform goes without.

        Raises:
            Unavailable: The database can't be read.
        """
        rows = await self._writer.database.read(_stored)
        for row in rows:
            connector = self._connectors.get(row.platform)
            if connector is None or not isinstance(connector, Provisions):
                continue  # its plugin was taken out of the configuration
            try:
                credentials = self._opened(row)
            except VaultError as error:
                self._health.component(f"provisions/{row.platform}").down(str(error))
            else:
                self._use(connector, connector, credentials)

    async def begin(self, principal: Principal, platform: str) -> Manifest:
        """The form that the browser is to post to the platform; its address has the state in it.

        Raises:
            Denied: Who asks is not an admin who is signed in with a browser.
            NotFound: No such platform, or it makes no applications.
            Conflict: The operator configured a client, which stays the one in use.
        """
        _require_admin(principal)
        connector, provisioner = self._find(platform)
        if not self.is_offered(connector):
            raise Conflict(
                f"{connector.display_name} has a client already: plugins.connectors.{platform}.client_id in "
                "config.yaml. Take it out to have one made."
            )
        state, now = secrets.token_urlsafe(_STATE_BYTES), self._clock.now()
        await self._writer.run_unit(
            partial(self._remember, principal=principal, platform=platform, state=state)
        )
        self._log.info(
            "provision_begun", platform=platform, user=principal.user_id, until=str(now + _STATE_LIFE)
        )
        form = provisioner.manifest(
            self._public_url,
            redirect_uri(self._public_url, platform),
            callback_url(self._public_url, platform),
            f"{self._public_url}/api/platforms/{platform}/provisioned",
        )
        joint = "&" if urlsplit(form.url).query else "?"
        return Manifest(f"{form.url}{joint}{urlencode({'state': state})}", form.fields)

    async def finish(self, principal: Principal, platform: str, query: Mapping[str, str]) -> None:
        """What the browser brought back becomes the platform's client.

        Raises:
            Denied: Who asks is not an admin who is signed in with a browser.
            NotFound: No such platform, or it makes no applications.
            Rejected: The state is another session's, used, too old or invented; or the platform refuses the code.
            Unavailable: The platform or the database does not answer now; the text says how to go on.
        """
        _require_admin(principal)
        connector, provisioner = self._find(platform)
        state, name = query.get("state", ""), connector.display_name
        await self._spend(principal, platform, state)
        if not query.get("code"):
            raise Rejected(f"{name} sent no code back, so nothing was set up. Begin again.", status=400)
        use_secrets(query["code"])
        try:
            credentials = await provisioner.provision(self._http, query["code"])
        except Unavailable:
            # The code may be good still, and loading the page once more must be enough to find out.
            await self._writer.run_unit(
                partial(self._remember, principal=principal, platform=platform, state=state)
            )
            raise
        try:
            await self._writer.run_unit(
                partial(self._save, platform=platform, credentials=credentials, now=self._clock.now())
            )
        except Unavailable as error:
            raise Unavailable(
                f"{name} has made the application, but its credentials could not be kept. Delete it there, and "
                f"begin again when the database is back. ({error})"
            ) from error
        if not self._use(connector, provisioner, credentials):
            raise Rejected(f"{name} has made the application, but its plugin can't use it.", status=502)
        self._log.info("provisioned", platform=platform, user=principal.user_id)

    def _find(self, platform: str) -> tuple[Connector, Provisions]:
        connector = self._connectors.get(platform)
        if connector is None:
            raise NotFound(f"There is no platform {platform[:80]!r} here. GET /api/platforms lists them.")
        if not isinstance(connector, Provisions):
            raise NotFound(
                f"{connector.display_name} makes no applications on a click. Register one there by hand: "
                "tidings doctor."
            )
        return connector, connector

    def _use(self, connector: Connector, provisioner: Provisions, credentials: Mapping[str, Any]) -> bool:
        """Hand credentials over, unless the operator configured others; False where the plugin fails."""
        if not self.is_offered(connector):
            return True
        platform = connector.platform
        component = self._health.component(f"provisions/{platform}")
        try:
            provisioner.use(credentials)
        except Exception as error:  # noqa: BLE001 - a plugin's defect; its text may hold what it was given
            component.down(f"{connector.display_name} can't use its credentials ({type(error).__name__}).")
            return False
        self._made.add(platform)
        component.up()
        return True

    def _remember(self, sql: Sql, *, principal: Principal, platform: str, state: str) -> None:
        now = self._clock.now()
        sql.execute(delete(oauth_states).where(oauth_states.c.expires_at <= to_stored(now)))
        sql.execute(
            insert(oauth_states).values(
                user_id=principal.user_id,
                state_hash=digest(state),
                session_key=principal.key,
                platform=platform,
                client_id=_NO_CLIENT,
                connection_id="",
                verifier="",
                expires_at=to_stored(now + _STATE_LIFE),
            )
        )

    async def _spend(self, principal: Principal, platform: str, state: str) -> None:
        """Spend a state.

        Raises:
            Rejected: It is not this session's, or no longer valid.
        """
        hashed, now = digest(state), self._clock.now()

        def spend(sql: Sql) -> bool:
            spent = sql.execute(
                delete(oauth_states).where(
                    oauth_states.c.state_hash == hashed,
                    oauth_states.c.session_key == principal.key,
                    oauth_states.c.platform == platform,
                    oauth_states.c.client_id == _NO_CLIENT,
                    oauth_states.c.expires_at > to_stored(now),
                )
            )
            return bool(spent.rowcount)

        if not await self._writer.run_unit(spend):
            raise Rejected(
                "This set-up was not begun here, was finished already, or took longer than an hour. Nothing was "
                "changed. Begin again.",
                status=400,
            )

    def _save(self, sql: Sql, *, platform: str, credentials: Mapping[str, Any], now: datetime) -> None:
        sealed = PROVISION_CREDENTIALS
        text = self._vault.seal(
            msgspec.json.encode(credentials),
            table=sealed.table.name,
            column=sealed.column.name,
            row=sealed.row_name(platform),
        )
        values = {"credentials": text, "created_at": to_stored(now)}
        increase(sql, PROVISIONS_CHANGED)
        upsert = Insert(provisions).values(platform=platform, **values)
        sql.execute(upsert.on_conflict_do_update(index_elements=["platform"], set_=values))

    def _opened(self, row: Row[Any]) -> Mapping[str, Any]:
        sealed = PROVISION_CREDENTIALS
        plain = self._vault.open(
            row.credentials,
            table=sealed.table.name,
            column=sealed.column.name,
            row=sealed.row_name(row.platform),
        )
        credentials: Mapping[str, Any] = msgspec.json.decode(plain)
        return credentials


def redirect_uri(public_url: str, platform: str) -> str:
    """Where consents to a platform's application come back to; to be registered there exactly so."""
    return f"{public_url}/api/oauth/{platform}/callback"


def draft_of(connector: Connector, public_url: str) -> Draft | None:
    """The application that this installation needs at a platform, as a text to paste there; None for no such text."""
    if not isinstance(connector, Drafts):
        return None
    platform = connector.platform
    return connector.draft(public_url, redirect_uri(public_url, platform), callback_url(public_url, platform))


def _stored(sql: Sql) -> Sequence[Any]:
    return sql.execute(select(provisions.c.platform, provisions.c.credentials)).all()


def _require_admin(principal: Principal) -> None:
    if principal.kind != "session" or "admin" not in principal.scopes:
        raise Denied(
            "Only an admin who is signed in with a browser can set a platform up.",
            status=403,
            code="forbidden",
        )
