"""Push subscriptions: browsers that news is pushed to, each with its cursor and how it fares.

What is needed to push to one (its address) is secret: it stands sealed in the database and nowhere else. All functions
take a connection inside a transaction.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, func, insert, literal, select, update

from tidings.accounts import random_letters, remove_owned
from tidings.contracts import JobRequest
from tidings.devices import Admitted, Device, Fate, Pushed
from tidings.discretion import use_secrets
from tidings.errors import NotFound, Rejected
from tidings.event import Cursor, UserId
from tidings.facts import DEVICES_CHANGED, increase
from tidings.jobs import drop_jobs
from tidings.schema import from_stored, push_subscriptions, to_stored
from tidings.sealed import PUSH_ADDRESS
from tidings.vault import Vault

#: The kind of job that pushes to one subscription, which its key names.
PUSH = "push"

_ID_LETTERS = 24
_LONGEST_DETAIL = 500
_table = push_subscriptions


@dataclasses.dataclass(frozen=True, slots=True)
class PushSubscription:
    """What may be told of a subscription, and what is needed to push to it.

    Attributes:
        sealed: See `open_device`.
        tried_at: Of the last push.
        pushed_at: When the push service took something last.
        status: Its last answer; 0 for none.
        failures: Since it took something.
        failing_since: Since when every push has ended with `LATER`.
        problem: Why the last push failed; "" where it did not.
        paused_until: Before that nothing is pushed: the last push failed.
    """

    id: str
    user_id: UserId
    key_id: str
    label: str
    service: str
    cursor: Cursor
    sealed: str = dataclasses.field(repr=False)
    created_at: datetime
    tried_at: datetime | None
    pushed_at: datetime | None
    status: int
    failures: int
    failing_since: datetime | None
    problem: str
    paused_until: datetime | None

    @property
    def state(self) -> str:
        """`ok`, `failing`, or `new` while nothing was pushed."""
        if self.problem:
            return "failing"
        return "new" if self.pushed_at is None else "ok"


def put_subscription(
    sql: Connection,
    vault: Vault,
    *,
    user_id: UserId,
    made_by: str,
    admitted: Admitted,
    key_id: str,
    label: str,
    cursor: Cursor,
    most: int,
    now: datetime,
) -> tuple[PushSubscription, bool]:
    """Keep a subscription; says whether it is new. One that is known keeps its cursor.

    Whoever knows its secrets has the browser: where somebody else signed in there before, it is theirs no more.

    Raises:
        Rejected: The user has as many as there may be (409).
    """
    identity = hashlib.sha256(admitted.identity.encode()).digest()
    known = sql.execute(select(_table).where(_table.c.identity_hash == identity)).mappings().one_or_none()
    if known is not None and known["user_id"] != user_id:
        remove_subscription(sql, UserId(known["user_id"]), known["id"])
        known = None
    subscription_id = f"psh{random_letters(_ID_LETTERS)}" if known is None else str(known["id"])
    address = msgspec.json.encode(admitted.address)
    sealed = vault.seal(
        address,
        table=_table.name,
        column=PUSH_ADDRESS.column.name,
        row=PUSH_ADDRESS.row_name(subscription_id),
    )
    values = {"address": sealed, "key_id": key_id, "made_by": made_by, "service": admitted.service}
    if known is not None:
        label = label or known["label"]
        sql.execute(update(_table).where(_table.c.id == subscription_id).values(**values, label=label))
    else:
        owned = select(func.count()).select_from(_table).where(_table.c.user_id == user_id)
        if int(sql.execute(owned).scalar_one()) >= most:
            raise Rejected(f"You have {most} devices, as many as there may be. Remove one first.", status=409)
        increase(sql, DEVICES_CHANGED)
        sql.execute(
            insert(_table).values(
                **values,
                user_id=user_id,
                id=subscription_id,
                identity_hash=identity,
                label=label or admitted.service,
                epoch=cursor.epoch,
                seq=cursor.seq,
                created_at=to_stored(now),
                status=0,
                failures=0,
                problem="",
            )
        )
    return find_subscription(sql, subscription_id, user_id=user_id), known is None


def find_subscription(sql: Connection, subscription_id: str, *, user_id: UserId) -> PushSubscription:
    """The subscription of that id, which must be this user's.

    Raises:
        NotFound: There is none.
    """
    same = (_table.c.id == subscription_id, _table.c.user_id == user_id)
    row = sql.execute(select(_table).where(*same)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no device {subscription_id[:80]!r} of yours.")
    return _subscription(row)


def list_subscriptions(
    sql: Connection, users: Collection[UserId] | None = None
) -> Sequence[PushSubscription]:
    """The subscriptions of some users, or of all; the oldest first."""
    statement = select(_table)
    if users is not None:
        statement = statement.where(_table.c.user_id.in_(users))
    rows = sql.execute(statement.order_by(_table.c.created_at, _table.c.id)).mappings()
    return [_subscription(row) for row in rows]


def show_subscriptions(sql: Connection, user_id: UserId) -> Sequence[PushSubscription]:
    """One user's subscriptions, without what is needed to push to them; the oldest first."""
    columns = [column for column in _table.c if column.name not in {"address", "identity_hash"}]
    statement = select(*columns, literal("").label("address")).where(_table.c.user_id == user_id)
    rows = sql.execute(statement.order_by(_table.c.created_at, _table.c.id)).mappings()
    return [_subscription(row) for row in rows]


def open_device(vault: Vault, subscription: PushSubscription) -> Device:
    """What is needed to push to a subscription; what is told of this work hides its address from now on.

    Raises:
        VaultError: It can't be opened.
    """
    address = vault.open(
        subscription.sealed,
        table=_table.name,
        column=PUSH_ADDRESS.column.name,
        row=PUSH_ADDRESS.row_name(subscription.id),
    )
    device = Device(subscription.id, subscription.key_id, msgspec.json.decode(address, type=dict[str, str]))
    use_secrets(*device.address.values())
    return device


def remove_subscription(sql: Connection, user_id: UserId, subscription_id: str) -> bool:
    """Push nothing there any more; says whether it was there, and this user's."""
    if not remove_owned(sql, _table, subscription_id, user_id):
        return False
    drop_jobs(sql, user_id, subscription_id, [PUSH])
    return True


def remove_made_by(sql: Connection, key: str) -> None:
    """A right has ended: what was subscribed by it gets nothing any more. `key` is that of its principals."""
    for row in sql.execute(select(_table.c.user_id, _table.c.id).where(_table.c.made_by == key)).all():
        remove_subscription(sql, UserId(row.user_id), row.id)


def move_cursor(sql: Connection, subscription: PushSubscription, cursor: Cursor) -> None:
    """What lies up to `cursor` needs no telling."""
    sql.execute(_still(subscription).values(epoch=cursor.epoch, seq=cursor.seq))


def note_push(
    sql: Connection,
    subscription: PushSubscription,
    pushed: Pushed,
    *,
    cursor: Cursor | None,
    pause_seconds: float | None,
    now: datetime,
) -> None:
    """Keep how a push ended; nothing is kept where the subscription has moved on meanwhile, or is no more.

    Args:
        sql: To the database.
        subscription: As it was when the push began.
        pushed: How it ended; not `GONE`.
        cursor: The position it has reached by it; None to stay.
        pause_seconds: How long nothing is to be pushed; None for no more than before.
        now: The present instant.
    """
    at = to_stored(now)
    values: dict[str, Any] = {"tried_at": at, "status": pushed.status}
    if pushed.fate is Fate.TAKEN:
        values |= {"pushed_at": at, "failures": 0, "problem": ""}
    else:
        values |= {"failures": _table.c.failures + 1, "problem": pushed.detail[:_LONGEST_DETAIL]}
    # Of a push service that refuses just this, or this installation, the subscription may be as good as ever.
    values["failing_since"] = func.coalesce(_table.c.failing_since, at) if pushed.fate is Fate.LATER else None
    if pushed.fate is Fate.TAKEN or cursor is not None:
        values["paused_until"] = None
    elif pause_seconds is not None:
        values["paused_until"] = at + round(pause_seconds * 1e6)
    if cursor is not None:
        values |= {"epoch": cursor.epoch, "seq": cursor.seq}
    sql.execute(_still(subscription).values(values))


def _still(subscription: PushSubscription) -> Any:
    """Changes the subscription if its cursor is still what it was: who else has run meanwhile has the last word."""
    return update(_table).where(
        _table.c.id == subscription.id,
        _table.c.epoch == subscription.cursor.epoch,
        _table.c.seq == subscription.cursor.seq,
    )


def push_job(subscription_id: str, in_seconds: float = 0.0) -> JobRequest:
    """The job that pushes to a subscription."""
    return JobRequest(PUSH, subscription_id, in_seconds=in_seconds)


def _subscription(row: RowMapping) -> PushSubscription:
    def instant(name: str) -> datetime | None:
        return None if row[name] is None else from_stored(row[name])

    return PushSubscription(
        id=row["id"],
        user_id=UserId(row["user_id"]),
        key_id=row["key_id"],
        label=row["label"],
        service=row["service"],
        cursor=Cursor(row["epoch"], row["seq"]),
        sealed=row["address"],
        created_at=from_stored(row["created_at"]),
        tried_at=instant("tried_at"),
        pushed_at=instant("pushed_at"),
        status=row["status"],
        failures=row["failures"],
        failing_since=instant("failing_since"),
        problem=row["problem"],
        paused_until=instant("paused_until"),
    )
