"""What the strategies make of a connector and of a connection's state."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from scripted import HOUR, POLL_SECONDS, Logging, Pollable, Pushing, Remote
from tidings.contracts import Connector, Keys, Parsed, Receives, Strategy, WatchState, WebhookRequest
from tidings_strategies.polling import Polling, PollingPlugin
from tidings_strategies.webhook import Webhook, WebhookPlugin

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PUBLIC = "https://tidings.example.org/api/webhooks/scripted"


class Addressing(Connector, Receives):
    """A connector whose platform sends to one address for all its accounts."""

    platform = "addressing"
    display_name = "Addressing"

    def __init__(self, *secrets: bytes) -> None:
        self._keys = Keys(secrets)

    @property
    def shared_keys(self) -> Keys:
        return self._keys

    def verify(self, request: WebhookRequest, keys: Keys, now: datetime) -> None:
        raise AssertionError("nothing is sent")

    def parse(self, request: WebhookRequest) -> Parsed:
        raise AssertionError("nothing is sent")

    def sample(self, keys: Keys, now: datetime, serial: str) -> WebhookRequest:
        raise AssertionError("nobody asks for a sample")


class Formal(Addressing):
    """One whose platform tells of the consent alone."""

    brings_news = False


def remote() -> Remote:
    return Remote(None)


def state(connector: Connector | None = None, **known: Any) -> WatchState:
    values: Mapping[str, Any] = {"targets": None, "registered": 0, **known}
    return WatchState(
        connector=connector or Logging(remote()), callback_url=PUBLIC, strategy="", since=NOW, **values
    )


def test_webhooks_come_before_polling() -> None:
    assert Webhook.priority > Polling.priority


@pytest.mark.parametrize(
    ("connector", "url", "ok", "reason"),
    [
        (Logging(remote()), PUBLIC, True, "can call"),
        (Logging(remote()), "http://127.0.0.1:8080/api/webhooks/scripted", False, "server.public_url"),
        (Pollable(remote()), PUBLIC, False, "sends no webhooks"),
        (Addressing(b"secret"), PUBLIC, True, "one address for all"),
        (Addressing(), PUBLIC, False, "no key in config.yaml"),
        (Formal(b"secret"), PUBLIC, False, "sends no news"),
    ],
)
def test_webhooks_need_a_platform_that_sends_and_can_reach_us(
    connector: Connector, url: str, ok: bool, reason: str
) -> None:
    verdict = Webhook().supports(connector, url)
    assert (verdict.ok, reason in verdict.reason) == (ok, True)


def test_polling_needs_a_platform_that_can_be_asked() -> None:
    assert Polling().supports(Pollable(remote()), "").ok
    assert not Polling().supports(Addressing(b"secret"), PUBLIC).ok


@pytest.mark.parametrize(
    ("known", "ok", "reason"),
    [
        ({}, False, "No webhook delivers yet."),
        ({"targets": 0}, False, "There is nothing that a webhook could watch."),
        ({"targets": 2, "problem": "a: no admin."}, False, "a: no admin."),
        ({"targets": 1, "registered": 1}, True, "A webhook watches it."),
        ({"targets": 2, "registered": 2}, True, "Webhooks watch all 2."),
        (
            {"targets": 3, "registered": 2, "problem": "c: no admin."},
            True,
            "A webhook watches 2 of 3; the others are asked. c: no admin.",
        ),
        ({"is_addressed": True}, True, "Scripted sends its news to the common address."),
        ({"targets": 1, "registered": 1, "missed": 4, "doubts": 1}, True, "A webhook watches it."),
        (
            {"targets": 1, "registered": 1, "missed": 4, "doubts": 2},
            False,
            "Nothing is delivered any more: 4 events had to be asked for instead.",
        ),
    ],
)
def test_webhooks_are_healthy_while_one_delivers_and_nothing_is_missed(
    known: Mapping[str, Any], ok: bool, reason: str
) -> None:
    verdict = Webhook().health(state(**known), NOW)
    assert (verdict.ok, verdict.reason) == (ok, reason)


def test_webhooks_plan_to_make_sure_and_to_recover() -> None:
    plan = Webhook().plan(state(targets=1, registered=1), NOW)
    assert plan.jobs == {"sync": POLL_SECONDS, "recover": 900}
    assert (plan.registers, plan.is_push) == (True, True)


def test_what_no_webhook_watches_is_asked_for_and_not_only_made_sure_of() -> None:
    assert not Webhook().plan(state(targets=2, registered=1), NOW).is_push


def test_without_a_log_of_deliveries_nothing_is_recovered() -> None:
    assert Webhook().plan(state(Pushing(remote()), targets=1, registered=1), NOW).jobs == {"sync": 6 * HOUR}


def test_a_common_address_needs_no_registration() -> None:
    plan = Webhook().plan(state(Addressing(b"secret"), is_addressed=True), NOW)
    assert (dict(plan.jobs), plan.registers, plan.is_push) == ({}, False, True)


def test_while_another_is_in_force_webhooks_are_kept_and_their_log_is_read() -> None:
    plan = Webhook().attempt(state(targets=1, registered=1), NOW)
    assert (dict(plan.jobs), plan.registers) == ({"recover": 900}, True)
    assert Polling().attempt(state(), NOW).jobs == {}


def test_polling_asks_at_the_connector_s_cadence() -> None:
    plan = Polling().plan(state(), NOW)
    assert (dict(plan.jobs), plan.registers, plan.is_push) == ({"sync": POLL_SECONDS}, False, False)
    assert not plan.is_steady
    assert Polling(steady=True).plan(state(), NOW).is_steady
    assert Polling().health(state(), NOW).reason == "It is asked every 6h."


@pytest.mark.parametrize(("plugin", "kind"), [(WebhookPlugin, Webhook), (PollingPlugin, Polling)])
def test_each_plugin_offers_its_strategy(plugin: Any, kind: type[Strategy]) -> None:
    (offered,) = plugin(plugin.options_model()).tidings_strategies(None)
    assert isinstance(offered, kind)
