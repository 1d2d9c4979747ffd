"""Lets the platform tell: news arrives the moment it happens; asking only makes sure that nothing was missed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from tidings.context import Context
from tidings.contracts import (
    Connector,
    Plan,
    Polls,
    Receives,
    Recovers,
    Registers,
    Strategy,
    Verdict,
    WatchState,
)
from tidings.hooks import Plugin, hookimpl

# One check that finds what no webhook brought may be an outage of ours; two with no delivery between are not.
_MOST_DOUBTS = 1
_RECOVER_SECONDS = 900.0


class Webhook(Strategy):
    """The fastest way, where the platform can reach this installation."""

    name: ClassVar[str] = "webhook"
    priority: ClassVar[int] = 50

    def supports(self, connector: Connector, callback_url: str) -> Verdict:
        """See `Strategy.supports`."""
        name = connector.display_name
        if not isinstance(connector, Receives):
            return Verdict(False, f"{name} sends no webhooks.")
        if not connector.brings_news:
            return Verdict(False, f"{name} sends no news, only what becomes of the consent.")
        if isinstance(connector, Registers):
            if connector.reaches(callback_url):
                return Verdict(True, f"{name} can call {callback_url}.")
            return Verdict(
                False,
                f"{name} can't reach {callback_url}. Put a proxy or a tunnel before tidings, and its address into "
                "config.yaml: server.public_url.",
            )
        if connector.shared_keys.secrets:
            return Verdict(True, f"{name} sends to one address for all its accounts.")
        return Verdict(False, f"There is no key in config.yaml to verify what {name} sends.")

    def health(self, state: WatchState, now: datetime) -> Verdict:
        """See `Strategy.health`."""
        if state.doubts > _MOST_DOUBTS:
            return Verdict(
                False, f"Nothing is delivered any more: {state.missed} events had to be asked for instead."
            )
        if state.registered:
            return Verdict(True, _coverage(state))
        if state.is_addressed:
            return Verdict(True, f"{state.connector.display_name} sends its news to the common address.")
        if state.problem:
            return Verdict(False, state.problem)
        if state.targets == 0:
            return Verdict(False, "There is nothing that a webhook could watch.")
        return Verdict(False, "No webhook delivers yet.")

    def plan(self, state: WatchState, now: datetime) -> Plan:
        """See `Strategy.plan`."""
        jobs = {}
        if isinstance(state.connector, Polls):
            jobs["sync"] = state.connector.poll_every_seconds
        return Plan(
            {**jobs, **_recovery(state)},
            registers=isinstance(state.connector, Registers),
            is_push=state.registered >= (state.targets or 0),  # else asking is all there is for some of them
        )

    def attempt(self, state: WatchState, now: datetime) -> Plan:
        """See `Strategy.attempt`. Webhooks that are in doubt may still be in the platform's log of deliveries."""
        return Plan(_recovery(state), registers=isinstance(state.connector, Registers))


def _recovery(state: WatchState) -> dict[str, float]:
    if state.registered and isinstance(state.connector, Recovers):
        return {"recover": _RECOVER_SECONDS}
    return {}


def _coverage(state: WatchState) -> str:
    if state.targets is not None and state.registered < state.targets:
        why = f" {state.problem}" if state.problem else ""
        return f"A webhook watches {state.registered} of {state.targets}; the others are asked.{why}"
    return "A webhook watches it." if state.registered == 1 else f"Webhooks watch all {state.registered}."


class WebhookPlugin(Plugin):
    """Offers webhooks."""

    @hookimpl
    def tidings_strategies(self, context: Context) -> Iterable[Strategy]:
        """The one strategy."""
        del context  # it needs nothing
        return [Webhook()]
