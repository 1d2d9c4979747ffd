"""What goes wrong in a simulated year: platforms, webhooks, clocks, and tidings' own process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Literal

from installation import DirectHttp, Installation
from tidings_sandbox.calendar import GoogleCalendar
from tidings_sandbox.emulator import Emulator
from tidings_sandbox.faults import Fault
from tidings_sandbox.world import World
from virtual import VirtualClock

_HOUR = 3600.0
_DAY = 86_400.0
_EACH_DAY = 2.5  # misfortunes, for each platform
_SHARE_OF_HOOKS = 0.05  # of those that change at once
_LONGEST_JUMP_SECONDS = 300.0
# Deliveries that were lost have been found in the log after so long, even if tidings was down for half a day.
_FOUND_BY_THEN = timedelta(hours=24)
_LOOK_SECONDS = 5.0  # an installation looks at its clock again so soon
_AGAIN_SECONDS = 600.0  # between two tries of an operator

Misfortune = Callable[[], Coroutine[Any, Any, None]]
Change = Literal["delete", "disable"]


class Misfortunes:
    """A deck of cards, some of which are drawn each day; shuffled again when all were drawn.

    Attributes:
        chronicle: What went wrong when, for people.
        lost_answers: How many answers of token endpoints never reached tidings.

    Args:
        world: The platforms.
        clock: The platforms' clock.
        installation: tidings.
        own_clock: Its clock.
        http: Its way to the platforms.
        group: Runs what goes wrong.
        seed: Of all chance.
    """

    def __init__(
        self,
        world: World,
        clock: VirtualClock,
        installation: Installation,
        own_clock: VirtualClock,
        http: DirectHttp,
        group: asyncio.TaskGroup,
        seed: int,
    ) -> None:
        self._world = world
        self._clock = clock
        self._installation = installation
        self._own_clock = own_clock
        self._http = http
        self._group = group
        self._chance = Random(f"{seed}/misfortunes")
        self._is_over = False
        self.chronicle: list[tuple[datetime, str]] = []
        self._deck: list[Misfortune] = []

    def _cards(self) -> list[Misfortune]:
        """All that can go wrong, once everybody is connected: then it shows who sends webhooks."""
        emulators = self._world.emulators.values()
        general = (
            *(self._outage, self._errors, self._storm, self._timeouts, self._lost_answers, self._garbage),
            *(self._lost_token, self._killed_at_refresh, self._dead_access, self._revoked),
        )
        pushed = (
            *(self._lost_webhooks, self._lost_webhooks, self._doubled_webhooks, self._late_webhooks),
            *(self._deleted_hooks, self._disabled_hooks),
        )
        return [
            *[partial(card, on) for on in emulators for card in general],
            *[partial(card, on) for on in emulators if on.hooks() for card in pushed],
            *[card for on in emulators for card in self._cards_at(on.name)],
            *(self._restart, self._restart, self._killed, self._killed, self._long_downtime),
            *(self._jump, self._jump),
        ]

    def _cards_at(self, platform: str) -> Sequence[Misfortune]:
        """What can go wrong at this platform alone."""
        cards: Mapping[str, Sequence[Misfortune]] = {
            "github": (self._secondary_limit, self._used_up_hour),
            "calendar": (self._forgotten_tokens,),
            "youtube": (self._hub_outage,),
            "spotify": (self._quota,),
        }
        return cards.get(platform, ())

    async def befall(self, days: int) -> None:
        """Let things go wrong for so many days, from now on; then nothing more."""
        cards = self._cards()
        count = round(_EACH_DAY * len(self._world.emulators))
        for _ in range(days):
            instants = sorted(self._chance.uniform(0, _DAY) for _ in range(count))
            begun = self._clock.monotonic()
            for instant in instants:
                await self._clock.sleep(begun + instant - self._clock.monotonic())
                if not self._deck:
                    self._deck = list(cards)
                    self._chance.shuffle(self._deck)
                self._group.create_task(self._deck.pop()())
            await self._clock.sleep(begun + _DAY - self._clock.monotonic())

    def end(self) -> None:
        """Everything works from now on."""
        self._is_over = True
        for emulator in self._world.emulators.values():
            emulator.faults.clear()
        if "github" in self._world.emulators:
            self._world.github.limits.secondary_until = None
        if "youtube" in self._world.emulators:
            self._world.youtube.hub.is_down = False

    def around(self, at: datetime) -> list[str]:
        """What went wrong in the day and a half around an instant."""
        near = timedelta(hours=36)
        return [f"{then:%Y-%m-%d %H:%M} {what}" for then, what in self.chronicle if abs(then - at) <= near]

    def _note(self, what: str) -> None:
        self.chronicle.append((self._clock.now(), what))

    # --- requests ---

    def _fault(self, on: Emulator, hours: float, fault: Fault, what: str) -> None:
        fault.until = self._clock.now() + timedelta(hours=hours)
        on.faults.add(fault)
        self._note(f"{on.name}: {what} for {hours:.1f} h")

    async def _outage(self, on: Emulator) -> None:
        status = self._chance.choice((500, 502, 503))
        self._fault(on, self._chance.uniform(3, 20), Fault("error", status=status), f"nothing but {status}")

    async def _errors(self, on: Emulator) -> None:
        self._fault(on, 24, Fault("error", status=502, probability=0.4), "many 502")

    async def _storm(self, on: Emulator) -> None:
        fault = Fault(
            "error", status=429, probability=0.8, retry_after_seconds=self._chance.randrange(30, 900)
        )
        self._fault(on, self._chance.uniform(1, 6), fault, f"429, retry after {fault.retry_after_seconds} s")

    async def _timeouts(self, on: Emulator) -> None:
        fault = Fault("timeout", probability=0.3)
        self._fault(on, self._chance.uniform(1, 6), fault, "time-outs before anything is done")

    async def _lost_answers(self, on: Emulator) -> None:
        fault = Fault("timeout", when="after", probability=0.3, sort="api")
        self._fault(on, self._chance.uniform(1, 6), fault, "time-outs after it is done")

    async def _garbage(self, on: Emulator) -> None:
        self._fault(
            on, self._chance.uniform(1, 6), Fault("garbage", probability=0.3), "pages instead of JSON"
        )

    async def _lost_token(self, on: Emulator) -> None:
        fault = Fault("timeout", when="after", remaining=1, path=on.consents.dialect.token_path)
        self._fault(on, 24, fault, "the answer to one refresh is lost")

    async def _killed_at_refresh(self, on: Emulator) -> None:
        path = on.consents.dialect.token_path
        on.faults.replace(
            [Fault("error", status=502, when="after", remaining=1, path=path), *on.faults.active()]
        )
        self._http.kill_after(f"/sandbox/{on.name}{path}")
        self._note(f"{on.name}: the process is killed between the next token and its commit")

    # --- consents and tokens ---

    def _some(self, share: float) -> list[str]:
        people = [person.key for person in self._world.stage.people]
        return self._chance.sample(people, max(1, round(len(people) * share)))

    async def _dead_access(self, on: Emulator) -> None:
        people = self._some(0.1)
        for person in people:
            on.consents.expire_access(person)
        self._note(f"{on.name}: access tokens die of {', '.join(people)}")

    async def _revoked(self, on: Emulator) -> None:
        people = self._some(0.01)
        for person in people:
            on.consents.revoke(person=person)
        self._note(f"{on.name}: consents are taken back by {', '.join(people)}")

    # --- webhooks ---

    async def _for_a_day(self, on: Emulator, name: str, value: float, what: str) -> None:
        setattr(on.faults, name, value)
        self._note(f"{on.name}: {what} for a day")
        await self._clock.sleep(_DAY)
        setattr(on.faults, name, 0.0)

    async def _lost_webhooks(self, on: Emulator) -> None:
        await self._for_a_day(on, "lose_webhooks", 0.3, "30 % of webhooks are lost")

    async def _doubled_webhooks(self, on: Emulator) -> None:
        await self._for_a_day(on, "duplicate_webhooks", 0.3, "30 % of webhooks come twice")

    async def _late_webhooks(self, on: Emulator) -> None:
        seconds = self._chance.uniform(60, 2 * _HOUR)
        await self._for_a_day(on, "delay_webhooks_seconds", seconds, f"webhooks are {seconds:.0f} s late")

    async def _deleted_hooks(self, on: Emulator) -> None:
        await self._change_hooks(on, "delete")

    async def _disabled_hooks(self, on: Emulator) -> None:
        await self._change_hooks(on, "disable")

    async def _change_hooks(self, on: Emulator, change: Change) -> None:
        """Some people's hooks are deleted or switched off; or the app's own, until the operator sees it."""
        people = set(self._some(_SHARE_OF_HOOKS))
        for hook in list(on.hooks()):
            if hook["owner"] in on.client_ids:
                await self._switch_off(on, hook["id"], change)
            elif self._is_hit(hook, people) and not self._is_last_trace(on, hook["id"]):
                _change(on, hook["id"], change)
                self._note(f"{on.name}: {change} hook {hook['id']} at {hook['target']} of {hook['owner']}")

    def _is_hit(self, hook: Mapping[str, Any], people: Collection[str]) -> bool:
        """Whether a hook is one of those that change; some platforms don't know whose one is."""
        return hook["owner"] in people if hook["owner"] else self._chance.random() < _SHARE_OF_HOOKS

    def _is_last_trace(self, on: Emulator, hook_id: int) -> bool:
        """Whether the hook's log alone still shows something that nobody has been told: it would go with the hook."""
        soon = self._clock.now() - _FOUND_BY_THEN
        return any(
            not 200 <= one["status_code"] < 300
            for one in on.deliveries(hook_id)
            if not one.get("in_feeds", True) and datetime.fromisoformat(one["delivered_at"]) > soon
        )

    async def _switch_off(self, on: Emulator, hook_id: int, change: Change) -> None:
        """The app gets no webhooks for some hours. Switching them on again works once tidings answers.

        Raises:
            RuntimeError: It did not for a day.
        """
        seconds = self._chance.uniform(1, 12) * _HOUR
        _change(on, hook_id, change)
        self._note(f"{on.name}: {change} the app's webhooks for {seconds:.0f} s at least")
        await self._clock.sleep(seconds)
        for _ in range(round(_DAY / _AGAIN_SECONDS)):
            on.change_hook(hook_id, "enable")
            await self._clock.sleep(_AGAIN_SECONDS)
            if all(hook["active"] for hook in on.hooks()):
                self._note(f"{on.name}: the app's webhooks are on again")
                return
        raise RuntimeError(f"{on.title} can't switch the app's webhooks on again: tidings does not answer.")

    # --- limits ---

    async def _secondary_limit(self) -> None:
        limits = self._world.github.limits
        limits.secondary_style = self._chance.choice(("retry-after", "text"))
        limits.secondary_status = self._chance.choice((403, 429))
        limits.secondary_until = self._clock.now() + timedelta(hours=1)
        self._note("github: secondary limit for an hour")

    async def _used_up_hour(self) -> None:
        people = self._some(0.1)
        for person in people:
            account = self._world.github.site.account_of(self._world.person(person))
            self._world.github.limits.exhaust(account.id, self._clock.now())
        self._note(f"github: the hour is used up of {', '.join(people)}")

    async def _forgotten_tokens(self) -> None:
        self._world.one(GoogleCalendar).forget_tokens()
        self._note("calendar: every sync token is forgotten")

    async def _hub_outage(self) -> None:
        hub, hours = self._world.youtube.hub, self._chance.uniform(3, 20)
        hub.is_down = True
        self._note(f"youtube: the hub is down for {hours:.1f} h")
        await self._clock.sleep(hours * _HOUR)
        hub.is_down = False

    async def _quota(self) -> None:
        client_ids = sorted({one.client_id for one in self._world.spotify.consents.living()})
        if not client_ids:
            return  # everybody took their consent back
        client_id = self._chance.choice(client_ids)
        quota = self._world.spotify.quota(client_id)
        usual, quota.per_day = quota.per_day, max(2, quota.used(self._clock.now()))
        self._note(f"spotify: quota of {client_id} is exceeded")
        await self._clock.sleep(_HOUR)
        quota.per_day = usual

    # --- tidings itself ---

    async def _restart(self) -> None:
        self._down("restarted", self._installation.restart, self._chance.uniform(5, 1800))

    async def _killed(self) -> None:
        self._down("killed", self._installation.kill, self._chance.uniform(5, 1800))

    async def _long_downtime(self) -> None:
        self._down("stopped", self._installation.restart, self._chance.uniform(3, 12) * _HOUR)

    def _down(self, how: str, end: Callable[..., None], seconds: float) -> None:
        if not self._is_over:
            self._note(f"tidings: {how}, down for {seconds:.0f} s")
            end(down_seconds=seconds)

    async def _jump(self) -> None:
        """The installation's clock is set wrong, and right again some hours later."""
        seconds = self._chance.choice((-1, 1)) * _LONGEST_JUMP_SECONDS
        self._own_clock.offset_seconds += seconds
        self._note(f"tidings: the clock jumps by {seconds:+.0f} s")
        await self._look()
        await self._clock.sleep(self._chance.uniform(1, 12) * _HOUR)
        self._own_clock.offset_seconds -= seconds
        self._note(f"tidings: the clock jumps back by {-seconds:+.0f} s")
        await self._look()

    async def _look(self) -> None:
        await self._clock.sleep(_LOOK_SECONDS)
        services = self._installation.services
        if services is not None:
            services.scheduler.wake()


def _change(on: Emulator, hook_id: int, change: Change) -> None:
    """Change a hook as its owner can; where the platform knows no switch, it is deleted."""
    try:
        on.change_hook(hook_id, change)
    except LookupError:
        with suppress(LookupError):  # it has just gone by itself
            on.change_hook(hook_id, "delete")
