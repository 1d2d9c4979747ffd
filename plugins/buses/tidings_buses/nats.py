"""The bus of an installation with many nodes: wake-ups by NATS, on a subject for each user.

A node subscribes to the users who have streams there, so traffic follows interest. Nothing is kept by the broker: what
it loses, core finds in the journal.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import anyio
from nats.aio.subscription import Subscription

from tidings.contracts import Arrival, Bus, Clock, Glance, Notice, Outage, Question, WakeUp
from tidings.errors import Unavailable
from tidings.event import UserId
from tidings_buses.connection import Connection
from tidings_buses.dialling import Dialler
from tidings_buses.mailbox import Mailbox
from tidings_buses.wire import Received, encode, wake_up

_USERS_PER_TURN: Final = 200  # then others get the loop, and the broker has its say
_FIRST_WAIT_SECONDS: Final = 0.25
_LONGEST_WAIT_SECONDS: Final = 10.0
_MOST_DOUBLINGS: Final = 6
_CLOSE_SECONDS: Final = 2.0


class NatsBus(Bus):
    """Speaks to the other nodes by NATS.

    Args:
        dialler: Makes connections.
        clock: For the waits between them.
    """

    def __init__(self, dialler: Dialler, clock: Clock) -> None:
        self._dialler = dialler
        self._clock = clock
        self._mailbox = Mailbox()
        self._connection: Connection | None = None
        self._problem = ""  # of which core knows
        # Every user watched; None where the broker is still to be told.
        self._users: dict[UserId, Subscription | None] = {}
        self._untold: deque[UserId] = deque()
        self._waiting: dict[UserId, asyncio.Future[None]] = {}
        self._work = asyncio.Event()
        self._tried = asyncio.Event()  # whether there is a connection, or an outage that core knows of

    # --- what core calls ---

    async def publish(self, wakeups: Sequence[WakeUp]) -> None:
        """See `Bus.publish`."""
        for wakeup in wakeups:
            if wakeup.user_id in self._users:
                self._mailbox.put(wakeup)
        connection = await self._connected()
        await connection.publish((one.user_id, wake_up(one)) for one in wakeups)

    async def watch(self, user_id: UserId) -> None:
        """See `Bus.watch`."""
        if user_id not in self._users:
            self._users[user_id] = None
        await self._connected()  # where there is none, the next one is told
        waiting = self._waiting.get(user_id)
        if waiting is None:
            waiting = self._waiting[user_id] = asyncio.get_running_loop().create_future()
        self._untold.appendleft(user_id)  # before those of a broker that is back: somebody waits
        self._work.set()
        await asyncio.shield(waiting)

    async def unwatch(self, user_id: UserId) -> None:
        """See `Bus.unwatch`."""
        subscription = self._users.pop(user_id, None)
        self._mailbox.forget(user_id)
        if subscription is not None and self._connection is not None:
            await self._connection.unsubscribe(subscription)

    async def tell(self, frame: Notice | Glance) -> None:
        """See `Bus.tell`."""
        if frame.user_id in self._users:
            self._mailbox.put(frame)
        connection = await self._connected()
        await connection.publish([(frame.user_id, encode(frame))])

    async def ask(self, question: Question) -> bool:
        """See `Bus.ask`."""
        if self._connection is None:
            return False
        return await self._connection.ask(question.user_id, encode(question))

    async def answer(self, question: Question) -> None:
        """See `Bus.answer`."""
        if question.reply:
            connection = await self._connected()
            await connection.answer(question.reply)

    async def _connected(self) -> Connection:
        await self._tried.wait()
        if self._connection is None:
            raise Unavailable(self._problem)
        return self._connection

    async def wakeups(self) -> AsyncGenerator[Arrival, None]:
        """See `Bus.wakeups`: connects, and connects again, for as long as it is asked."""
        work = asyncio.create_task(self._stay_connected())
        work.add_done_callback(lambda _work: self._mailbox.disturb())
        try:
            while not work.done():
                await self._mailbox.wait()
                for arrival in self._mailbox.take():
                    yield arrival
            work.result()
        finally:
            self._tried.clear()
            with anyio.CancelScope(shield=True):
                while not work.done():  # the library swallows some cancellations
                    work.cancel()
                    await asyncio.wait([work], timeout=_CLOSE_SECONDS)

    # --- the connection ---

    async def _stay_connected(self) -> None:
        attempts = 0
        while True:
            reason = await self._dial_and_live()
            if not self._problem:  # all was well, until just now
                attempts = 0
            self._say(reason)
            self._tried.set()
            longest = min(_FIRST_WAIT_SECONDS * 2 ** min(attempts, _MOST_DOUBLINGS), _LONGEST_WAIT_SECONDS)
            attempts += 1
            await self._clock.sleep(longest * random.uniform(0.5, 1))  # noqa: S311 - jitter: nodes don't dial at once

    async def _dial_and_live(self) -> str:
        """Work with the first server that answers, until it doesn't; returns why."""
        servers = random.sample(self._dialler.servers, len(self._dialler.servers))
        reasons = []
        for server in servers:
            try:
                connection = await self._dialler.dial(server, self._arrived)
            except Unavailable as error:
                reasons.append(str(error))
            else:
                return f"{server}: {await self._live(connection)}"
        return "; ".join(reasons)

    def _arrived(self, arrival: Received) -> None:
        if arrival.user_id in self._users:
            self._mailbox.put(arrival)

    def _say(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._mailbox.put(Outage(problem))

    async def _live(self, connection: Connection) -> str:
        """Work with a connection until it breaks; returns why it did."""
        self._untold.extend(self._users)
        self._connection = connection
        self._tried.set()
        try:
            while True:
                await self._tell_broker(connection)
                await connection.until(self._work)
        except Unavailable as error:
            return str(error)
        finally:
            self._connection = None
            self._untold.clear()
            waiting, self._waiting = self._waiting, {}
            for one in waiting.values():
                one.set_exception(Unavailable("The broker went away."))
                one.exception()  # seen, even if nobody waits any more
            with anyio.CancelScope(shield=True):
                await connection.close()
                await self._forget_subscriptions()

    async def _tell_broker(self, connection: Connection) -> None:
        """Subscribe to the users of whom the broker doesn't know, until there are none.

        Raises:
            Unavailable: The connection has ended.
        """
        while True:
            self._work.clear()
            users = [self._untold.popleft() for _ in range(min(len(self._untold), _USERS_PER_TURN))]
            waiting = {user_id: self._waiting.pop(user_id) for user_id in users if user_id in self._waiting}
            try:
                for user_id in users:
                    await self._subscribe(connection, user_id)
                await connection.confirm()
            except Unavailable as error:
                for one in waiting.values():
                    one.set_exception(error)
                    one.exception()
                raise
            for one in waiting.values():
                one.set_result(None)
            if not self._untold:
                self._say("")
                return

    async def _subscribe(self, connection: Connection, user_id: UserId) -> None:
        if user_id not in self._users or self._users[user_id] is not None:
            return
        subscription = await connection.subscribe(user_id)
        if user_id in self._users:
            self._users[user_id] = subscription
        else:  # nobody watches any more
            await connection.unsubscribe(subscription)

    async def _forget_subscriptions(self) -> None:
        """Those of a connection that has ended; 100,000 of them at once would take their time."""
        for number, user_id in enumerate(list(self._users)):
            if user_id in self._users:
                self._users[user_id] = None
            if number % _USERS_PER_TURN == 0:
                await asyncio.sleep(0)
