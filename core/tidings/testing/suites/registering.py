"""What a connector that makes webhooks at its platform must be."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Final

import msgspec

from tidings.connecting import Api
from tidings.connectors import Connector, Registers, Target, Upstream
from tidings.errors import Rejected
from tidings.testing.suite import fail, require, standard
from tidings.testing.suites.connector import ConnectorSuite

_CALLBACK: Final = "https://tidings.example.org/api/webhooks/platform/whkconformance"
_SECRET: Final = "cAnArY-of-a-registration-0123456789"  # noqa: S105 - planted, to be looked for


@dataclasses.dataclass(frozen=True, slots=True)
class Registry:
    """An account at a platform that keeps webhooks.

    Attributes:
        connector: A connector that is a `Registers`.
        api: The platform's API as that account may use it.
        standing: How many webhooks that call `callback_url` the platform keeps.
        callback_url: Where the webhooks go. A platform that tries at once whether anybody is there needs a real one.
        secret: What they are signed with.
    """

    connector: Connector
    api: Api
    standing: Callable[[], Awaitable[int]]
    callback_url: str = _CALLBACK
    secret: str = dataclasses.field(default=_SECRET, repr=False)


class RegisteringSuite(ConnectorSuite):
    """What a connector that makes webhooks must be. Implement `registry`.

    Attributes:
        settings: Those of the connection; choose something that can be watched.
    """

    settings: ClassVar[Mapping[str, Any]] = {}

    def registry(self) -> AbstractAsyncContextManager[Registry]:
        """An account without webhooks, for one test."""
        raise NotImplementedError

    async def first(self, registry: Registry) -> tuple[Registers, Target]:
        """The connector, and the first of what it could watch."""
        connector = registry.connector
        if not isinstance(connector, Registers):
            fail(f"{self.plugin} is no Registers.")
        targets = await connector.targets(registry.api, self.settings)
        require(targets, "There is nothing to watch. Give the account something, or choose it in `settings`.")
        keys = [target.key for target in targets]
        require(len(set(keys)) == len(keys), f"Two targets have one key: {', '.join(keys)}.")
        return connector, targets[0]

    async def register(self, registry: Registry) -> tuple[Registers, Target, Upstream]:
        """Make a webhook."""
        connector, target = await self.first(registry)
        return (
            connector,
            target,
            await connector.register(registry.api, target, registry.callback_url, registry.secret),
        )

    @standard
    async def test_makes_one_webhook(self) -> None:
        """Asked twice for the same address it makes one: a crash in between must not leave two."""
        async with self.registry() as registry:
            connector, target, first = await self.register(registry)
            require(
                first.target.key == target.key,
                f"It says that it watches {first.target.key}, not {target.key}.",
            )
            await connector.register(registry.api, target, registry.callback_url, registry.secret)
            standing = await registry.standing()
            require(
                standing == 1, f"Registered twice for one address, {standing} webhooks stand at the platform."
            )

    @standard
    async def test_says_how_it_stands(self) -> None:
        """A webhook that was made a moment ago is there, and nothing is the matter with it."""
        async with self.registry() as registry:
            connector, target, made = await self.register(registry)
            seen = await connector.check(registry.api, made)
            require(seen.target.key == target.key and seen.id, "`check` speaks of another webhook.")
            require(not seen.problem, f"A webhook made a moment ago has a problem: {seen.problem}")

    @standard
    async def test_renews_without_a_gap(self) -> None:
        """Renewed, it stands as it did, and does not end sooner."""
        async with self.registry() as registry:
            connector, target, made = await self.register(registry)
            renewed = await connector.renew(
                registry.api, target, registry.callback_url, registry.secret, made
            )
            require(await registry.standing() >= 1, "Renewed, it is gone.")
            ends, ended = renewed.expires_at, made.expires_at
            require(
                ends is None or ended is None or ends >= ended, f"Renewed, it ends {ends} instead of {ended}."
            )

    @standard
    async def test_removes_it_twice(self) -> None:
        """Removed, it is gone; removed once more, that is fine."""
        async with self.registry() as registry:
            connector, _, made = await self.register(registry)
            await connector.unregister(registry.api, made)
            require(await registry.standing() == 0, "Removed, it still stands at the platform.")
            try:
                await connector.unregister(registry.api, made)
            except Exception as error:  # noqa: BLE001 - any is the violation
                fail(f"To remove what is gone already raises {type(error).__name__}: {error}")

    @standard
    async def test_notices_that_it_is_gone(self) -> None:
        """Somebody removed it at the platform: `check` raises Rejected with status 404."""
        async with self.registry() as registry:
            connector, _, made = await self.register(registry)
            await connector.unregister(registry.api, made)
            try:
                await connector.check(registry.api, made)
            except Rejected as error:
                require(error.status == 404, f"That it is gone is told with status {error.status}, not 404.")
            else:
                fail("`check` does not notice that the webhook is gone.")

    @standard
    async def test_keeps_the_secret_out_of_its_notes(self) -> None:
        """What it keeps of a webhook is stored in clear text: the secret has its own, sealed place."""
        async with self.registry() as registry:
            _, _, made = await self.register(registry)
            require(registry.secret.encode() not in msgspec.json.encode(made), "`Upstream` holds the secret.")

    @standard
    def test_knows_what_it_can_t_reach(self) -> None:
        """No platform can call this machine or its network, and any can call a public address."""
        with self.connector() as (connector, _):
            if not isinstance(connector, Registers):
                fail(f"{self.plugin} is no Registers.")
            for url in (
                "http://127.0.0.1:8080/x",
                "http://localhost/x",
                "http://192.168.1.2/x",
                "http://[::1]/x",
            ):
                require(not connector.reaches(url), f"It believes that its platform can call {url}.")
            require(connector.reaches(_CALLBACK), f"It believes that its platform can't call {_CALLBACK}.")
