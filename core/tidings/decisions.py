"""Which strategy watches a connection, and why: pure decisions from what is known.

The best strategy that the connector supports and that works is in force. Better ones that do not work are tried
again, with ever longer pauses; one that fell is not trusted again at once, unless something is delivered.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec
from structlog.typing import FilteringBoundLogger

from tidings.connections import Connection
from tidings.connectors import Connector
from tidings.strategies import Plan, Strategy, Verdict
from tidings.watching import Try, Watched

# Before a new connection's first decision is made without all that there is to know.
_PATIENCE = timedelta(minutes=2)
_FIRST_TRY_SECONDS = 300.0
_LONGEST_TRY_SECONDS = 6 * 3600.0
_PROVEN = timedelta(days=1)  # in force for so long, a strategy's earlier failures are forgotten
_JITTER = 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What the monitor makes of a connection.

    Attributes:
        strategy: To be in force; "" while none works, or before the first decision.
        reason: Why, for people.
        plan: What that strategy and those that are being tried want together.
        tries: When the others are tried next.
        attempts: Whether one is to be tried now.
        is_open: Whether the first decision waits for what the platform says.
    """

    strategy: str
    reason: str
    plan: Plan
    tries: Mapping[str, Try]
    attempts: bool
    is_open: bool = False


def decide(
    watched: Watched,
    connector: Connector,
    strategies: Sequence[Strategy],
    now: datetime,
    *,
    public_url: str,
    log: FilteringBoundLogger,
) -> Decision:
    """Decide how a connection is watched.

    Args:
        watched: All that is known of it.
        connector: Speaks to its platform.
        strategies: The best first.
        now: The present instant.
        public_url: Where platforms reach this installation.
        log: Told of strategies' defects.
    """
    connection, memory = watched.connection, watched.memory
    state = watched.state(connector, public_url, now)
    tries = dict(memory.tries)
    misgivings: list[str] = []
    plans: list[Plan] = []
    attempts = is_open = False
    for strategy in strategies:
        name = strategy.name
        support = _ask(strategy, log, partial(strategy.supports, connector, state.callback_url))
        if not support.ok:
            tries.pop(name, None)
            misgivings.append(f"Not by {name}: {support.reason}")
            continue
        health = _ask(strategy, log, partial(strategy.health, state, now))
        is_held = health.ok and _is_held(name, tries.get(name), watched, now)
        if health.ok and not is_held:
            plan = _together([strategy.plan(state, now), *plans])
            reason = " ".join([health.reason, *misgivings])
            return Decision(
                "" if is_open else name,
                reason,
                plan,
                _settled(tries, name, connection, now),
                attempts,
                is_open,
            )
        misgivings.append(f"Not by {name}: {health.reason}" if not is_held else f"{name} must prove itself.")
        plan = strategy.attempt(state, now)
        plans.append(plan)
        tries[name], is_tried = _next_try(tries.get(name), connection, name, now)
        attempts = attempts or is_tried
        # A new connection: the platform will say in a moment whether the better way is open.
        waits = connection.strategy == "" and plan.registers and state.targets is None
        is_open = is_open or (waits and now - connection.strategy_since < _PATIENCE)
    reason = (
        " ".join(misgivings) or "No strategy is loaded. Name some in config.yaml, under plugins.strategies."
    )
    return Decision("", reason, _together(plans), tries, attempts, is_open)


def _ask(strategy: Strategy, log: FilteringBoundLogger, question: Callable[[], Verdict]) -> Verdict:
    try:
        return question()
    except Exception as error:
        log.error("strategy_failed", strategy=strategy.name, exc_info=error)
        return Verdict(False, f"It fails ({type(error).__name__}); the log has it.")


def counted(watched: Watched, now: datetime) -> Watched:
    """Draw the conclusions from missed events that polls or recovery found since the last look."""
    memory = watched.memory
    if memory.missed <= memory.counted:
        return watched
    memory = msgspec.structs.replace(memory, counted=memory.missed, doubts=watched.doubts + 1, doubted_at=now)
    return dataclasses.replace(watched, memory=memory)


def _is_held(name: str, last: Try | None, watched: Watched, now: datetime) -> bool:
    """Whether a strategy that fell a moment ago is not trusted yet, though it seems to work again."""
    if last is None or name == watched.connection.strategy or last.held_until <= now:
        return False
    delivered_at = watched.delivered_at
    return delivered_at is None or delivered_at <= watched.connection.strategy_since


def _next_try(before: Try | None, connection: Connection, name: str, now: datetime) -> tuple[Try, bool]:
    """When a strategy that does not work is tried next, and whether it is tried now."""
    failures = 0 if before is None else before.failures
    fell = name == connection.strategy
    if fell and now - connection.strategy_since >= _PROVEN:
        failures = 0
    if before is not None and not fell and before.at > now:
        return before, False
    seconds = min(_LONGEST_TRY_SECONDS, _FIRST_TRY_SECONDS * 2 ** min(failures, 20))
    at = now + timedelta(seconds=seconds * random.uniform(1 - _JITTER, 1))  # noqa: S311 - spreads the tries
    return Try(failures + 1, at, at if fell else now), not fell


def _settled(tries: Mapping[str, Try], name: str, connection: Connection, now: datetime) -> Mapping[str, Try]:
    """The tries once a strategy works: at first, and in force for long enough, its failures are forgotten."""
    is_proven = name == connection.strategy and now - connection.strategy_since >= _PROVEN
    if is_proven or not connection.strategy:
        return {other: one for other, one in tries.items() if other != name}
    return tries


def _together(plans: Sequence[Plan]) -> Plan:
    """What several strategies want; the first is the one in force."""
    jobs: dict[str, float] = {}
    for plan in plans:
        for kind, seconds in plan.jobs.items():
            jobs[kind] = min(seconds, jobs.get(kind, seconds))
    return Plan(
        jobs,
        registers=any(plan.registers for plan in plans),
        is_push=bool(plans) and plans[0].is_push,
        is_steady=bool(plans) and plans[0].is_steady,
    )
