"""Several transports that push to devices, as one: each device belongs to the transport that admitted it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from tidings.devices import Admitted, Device, Fate, News, Pushed, Pushes
from tidings.errors import Rejected

_TRANSPORT: Final = (
    "transport"  # in a device's address; a device of before belongs to the first that has keys
)


class Pushers(Pushes):
    """Asks each in the order of the configuration whether a subscription is one of its own.

    Args:
        members: The transports; one of them is as good as itself.
    """

    name: ClassVar[str] = "push"

    def __init__(self, members: Sequence[Pushes]) -> None:
        self._members = {one.name: one for one in members}
        # What a page asks for is that of the one that browsers subscribe at.
        self._first = max(members, key=lambda one: bool(any(one.public_keys.values())))
        self.most_devices = max(one.most_devices for one in members)
        self.gather_seconds = min(one.gather_seconds for one in members)
        self.pace_seconds = max(one.pace_seconds for one in members)

    @property
    def problem(self) -> str:  # type: ignore[override]  # it changes with that of the members
        """Why none can push."""
        problems = [one.problem for one in self._members.values()]
        return "" if not all(problems) else problems[0]

    @property
    def warning(self) -> str:  # type: ignore[override]  # likewise
        """What an operator must not overlook."""
        return " ".join(one.warning for one in self._members.values() if one.warning)

    def use_keys(self, keys: Mapping[str, bytes]) -> None:
        """See `Pushes.use_keys`; the members have them already."""

    @property
    def public_keys(self) -> Mapping[str, str]:
        """See `Pushes.public_keys`."""
        return self._first.public_keys

    async def admit(self, wish: Mapping[str, str]) -> Admitted:
        """See `Pushes.admit`: the first that finds it fit takes it."""
        refusals = []
        for name, one in self._members.items():
            if one.problem:
                refusals.append(one.problem)
                continue
            try:
                admitted = await one.admit(wish)
            except Rejected as error:
                refusals.append(str(error))
                continue
            return Admitted({**admitted.address, _TRANSPORT: name}, admitted.identity, admitted.service)
        raise Rejected(" ".join(refusals), status=400)

    async def push(self, device: Device, news: News | None) -> Pushed:
        """See `Pushes.push`."""
        name = device.address.get(_TRANSPORT, self._first.name)
        one = self._members.get(name)
        if one is None:
            return Pushed(Fate.BLOCKED, detail=f"The transport {name!r} is not loaded any more.")
        if one.problem:
            return Pushed(Fate.BLOCKED, detail=one.problem)
        return await one.push(device, news)
