"""Several transports that push: each device belongs to the one that admitted it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tidings.devices import Admitted, Device, Fate, News, Pushed, Pushes
from tidings.errors import Rejected
from tidings.pushers import Pushers


class Pager(Pushes):
    """Takes what begins with its own name."""

    def __init__(self, name: str, *, key: str = "", problem: str = "") -> None:
        self.name = name  # type: ignore[misc]  # each has its own here
        self.problem = problem
        self.key = key
        self.pushed: list[Mapping[str, str]] = []

    def use_keys(self, keys: Mapping[str, bytes]) -> None:
        raise AssertionError("the members have them already")

    @property
    def public_keys(self) -> Mapping[str, str]:
        return {"k1": self.key}

    async def admit(self, wish: Mapping[str, str]) -> Admitted:
        if not wish["endpoint"].startswith(self.name):
            raise Rejected(f"It is no {self.name}.", status=400)
        return Admitted({"endpoint": wish["endpoint"]}, wish["endpoint"], self.name)

    async def push(self, device: Device, news: News | None) -> Pushed:
        self.pushed.append(device.address)
        return Pushed(Fate.TAKEN, 201)


async def device(pushers: Pushers, endpoint: str) -> Device:
    return Device("d", "k1", (await pushers.admit({"endpoint": endpoint})).address)


async def test_a_device_is_pushed_to_by_whoever_admitted_it() -> None:
    web, phone = Pager("web", key="public"), Pager("phone")
    pushers = Pushers([phone, web])
    for endpoint in ("web:1", "phone:1"):
        assert (await pushers.push(await device(pushers, endpoint), None)).fate is Fate.TAKEN
    assert [one["endpoint"] for one in web.pushed] == ["web:1"]
    assert [one["endpoint"] for one in phone.pushed] == ["phone:1"]
    assert pushers.public_keys == {"k1": "public"}


async def test_a_device_of_before_belongs_to_the_one_that_browsers_subscribe_at() -> None:
    web, phone = Pager("web", key="public"), Pager("phone")
    await Pushers([phone, web]).push(Device("d", "k1", {"endpoint": "web:1"}), None)
    assert len(web.pushed) == 1


async def test_what_none_admits_is_refused_with_all_reasons() -> None:
    pushers = Pushers([Pager("web"), Pager("phone", problem="It has no wires.")])
    with pytest.raises(Rejected, match=r"It is no web\. It has no wires\.") as caught:
        await pushers.admit({"endpoint": "phone:1"})
    assert caught.value.status == 400


async def test_a_device_of_a_transport_that_is_gone_or_unwell_waits_for_the_operator() -> None:
    phone = Pager("phone")
    told = await device(Pushers([Pager("web", key="public"), phone]), "phone:1")
    gone: Any = await Pushers([Pager("web", key="public")]).push(told, None)
    phone.problem = "It has no wires."
    unwell = await Pushers([Pager("web", key="public"), phone]).push(told, None)
    assert (gone.fate, unwell.fate) == (Fate.BLOCKED, Fate.BLOCKED)
    assert "'phone' is not loaded" in gone.detail
    assert phone.pushed == []


def test_there_is_a_problem_only_where_none_can_push() -> None:
    well, unwell = Pager("web"), Pager("phone", problem="It has no wires.")
    assert Pushers([well, unwell]).problem == ""
    assert Pushers([unwell]).problem == "It has no wires."
