"""A platform's log of what it sent to the common address, beside what arrived; and how far it was compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection as Sql
from sqlalchemy import select

from tidings.addressing import COMMON_LOG, Reached, holders, reached
from tidings.commonlog import AddressedDelivery, RecoversCommon
from tidings.connecting import Api, Connects
from tidings.connectors import Receives
from tidings.contracts import Clock
from tidings.database import Database, Insert
from tidings.errors import Rejected, Unavailable
from tidings.event import UserId
from tidings.platforms import Platforms
from tidings.schema import settings
from tidings.tokens import AccessToken

#: Has its own share of the limits of the application's client, beside the accounts.
_ACCOUNT: Final = "application"
#: The status of `Rejected` where there is no log, and nothing to mend.
NO_LOG: Final = 404


class Compared(msgspec.Struct, frozen=True):
    """What is remembered of the comparisons with one platform's log.

    Attributes:
        at: Up to when the log was compared; None before the first time.
        seconds: How long to the next comparison.
        again_since: From when on it is to be compared once more, whatever was compared; None for no such wish.
    """

    at: datetime | None = None
    seconds: float = 0.0
    again_since: datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class CommonComparison:
    """A stretch of a platform's log beside what arrived.

    Attributes:
        sent: How many deliveries for connections here the platform says it sent.
        missing: Those of them that did not arrive here for all whom they name, oldest first.
    """

    sent: int
    missing: Sequence[AddressedDelivery]

    @property
    def held(self) -> int:
        """How many of them arrived here."""
        return self.sent - len(self.missing)


class ApplicationTokens:
    """The application's own proofs; see `tidings.platforms.TokenSource`."""

    def __init__(self, connector: RecoversCommon, client_id: str, clock: Clock) -> None:
        self._connector = connector
        self._client_id = client_id
        self._clock = clock

    async def access(self) -> AccessToken:
        """A proof for one call.

        Raises:
            Rejected: The operator must mend something, or the platform knows no such application (any more).
        """
        text = self._connector.application_token(self._clock.now())
        if text is None:
            raise Rejected("There is no application whose log could be read.", status=NO_LOG)
        return AccessToken(text, 0, self._client_id)

    async def renew(self, refused: AccessToken) -> AccessToken:
        """There is no better one.

        Raises:
            Rejected: Always.
        """
        raise Rejected(
            "The platform does not believe the application's own key. Compare the clock, and the application's id and "
            "private key with its page there.",
            status=401,
        )


def application_api(
    platforms: Platforms, platform: str, connector: RecoversCommon, clock: Clock
) -> Api | None:
    """The platform's API as the application itself may use it; None where it has no log to read."""
    if not isinstance(connector, Connects) or not connector.clients:
        return None
    try:
        if connector.application_token(clock.now()) is None:
            return None
    except Rejected:
        pass  # told by the first call
    return platforms.own_api(platform, _ACCOUNT, ApplicationTokens(connector, connector.clients[0].id, clock))


async def compare(
    connector: RecoversCommon,
    receives: Receives,
    api: Api,
    platform: str,
    since: datetime,
    until: datetime,
    database: Database,
) -> CommonComparison:
    """Compare a stretch of the log; of a delivery that was sent several times, the newest line counts.

    Raises:
        Unavailable: As the connector says.
        Rejected: The platform shows no log.
    """
    known = await database.read(partial(reached, platform=platform))
    first = min((one.since for ones in known.values() for one in ones), default=until)
    since = max(since, first)
    logged: dict[str, AddressedDelivery] = {}
    async for line in connector.common_deliveries(api, since):
        if since <= line.delivered_at <= until:
            logged.setdefault(line.delivery_id, line)
    held = await database.read(partial(holders, platform=platform, delivery_ids=list(logged)))
    sent, missing = 0, []
    for line in logged.values():
        here = held.get(line.delivery_id, ())
        addresses: Sequence[str] = line.addresses
        if not addresses and not here:
            addresses = await _addresses(connector, receives, api, line)
        wanting = _users(known, addresses, line.delivered_at)
        if here or wanting:
            sent += 1
        if wanting - set(here):
            missing.append(line)
    return CommonComparison(sent, missing[::-1])


async def _addresses(
    connector: RecoversCommon, receives: Receives, api: Api, line: AddressedDelivery
) -> Sequence[str]:
    """Whom a delivery names of which its line in the log does not say so; nobody where it can't be read."""
    try:
        return receives.parse(await connector.fetch_common_delivery(api, line)).addresses
    except Unavailable:
        raise
    except Exception:  # noqa: BLE001 - refused, or a plugin's defect: it would not have been taken on arrival either
        return ()


def _users(
    known: Mapping[str, Sequence[Reached]], addresses: Iterable[str], delivered_at: datetime
) -> set[UserId]:
    """Who was here already when something was delivered to these addresses."""
    return {
        one.user_id for address in addresses for one in known.get(address, ()) if one.since <= delivered_at
    }


def recall_compared(sql: Sql, platform: str) -> Compared:
    """What is remembered of the comparisons with a platform's log."""
    stored = sql.execute(select(settings.c.value).where(settings.c.key == _key(platform))).scalar()
    if stored is None:
        return Compared()
    try:
        return msgspec.json.decode(stored, type=Compared)
    except (msgspec.DecodeError, msgspec.ValidationError):  # another version wrote it; it is compared anew
        return Compared()


def remember_compared(sql: Sql, platform: str, compared: Compared) -> None:
    """Write that down."""
    values: dict[str, Any] = {"value": msgspec.json.encode(compared).decode()}
    upsert = Insert(settings).values(key=_key(platform), **values)
    sql.execute(upsert.on_conflict_do_update(index_elements=[settings.c.key], set_=values))


def compare_again_since(sql: Sql, platform: str, since: datetime) -> None:
    """Have the next comparison begin at `since`: what was nobody's then has become somebody's."""
    compared = recall_compared(sql, platform)
    if compared.again_since is None or since < compared.again_since:
        remember_compared(sql, platform, msgspec.structs.replace(compared, again_since=since))


def _key(platform: str) -> str:
    return f"{COMMON_LOG}:{platform}"
