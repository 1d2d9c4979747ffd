"""Emulated platforms inside the installation: for newcomers, for tests, for simulations.

Connectors that have no client id of their own are led here through their address options, so that somebody
who has registered nothing anywhere can press Connect and see events. What is shown is invented.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import Field
from starlette.routing import BaseRoute, Mount

from tidings.context import Context
from tidings.contracts import Extra
from tidings.errors import ConfigError
from tidings.hooks import Options, Plugin, ServerAddress, hookimpl
from tidings_sandbox.control import Control
from tidings_sandbox.world import EMULATORS, World

__all__ = ["SandboxExtra", "SandboxOptions", "SandboxPlugin"]

# A sandbox that runs for months remembers what happened lately.
_KEPT_HAPPENINGS: Final = 10_000


class SandboxOptions(Options):
    """What stands under `plugins.extras.sandbox`."""

    allow_public: bool = Field(
        default=False,
        description="Run although the server can be reached from other machines. Anybody who reaches it can "
        "then connect invented accounts.",
    )
    seed: int = Field(default=1, description="Another number gives other chances, and other tokens.")
    lively: bool = Field(
        default=True,
        description="Small things happen by themselves, every 20 to 40 seconds, while an account is connected.",
    )


class SandboxExtra(Extra):
    """Serves the emulators under `/sandbox/`, and the control page at `/sandbox`."""

    notice = (
        "The sandbox is on: a platform without a client_id is emulated here, with invented people and events. Take "
        "the line `sandbox:` out of config.yaml to turn it off."
    )
    notice_url = "/sandbox"

    def __init__(self, world: World, control: Control, *, lively: bool) -> None:
        self.world = world
        self._control = control
        self._lively = lively

    @property
    def busy(self) -> int:
        """How many webhooks and other things of the emulated world are on their way, or due: see `Busy`."""
        return self.world.stage.agenda.busy

    def routes(self) -> Sequence[BaseRoute]:
        """The control page and its API, then the emulators."""
        names = (*self.world.emulators, "static")
        return [
            *self._control.routes(),
            *[Mount(f"/sandbox/{name}", app=self.world.app) for name in names],
        ]

    async def run(self) -> None:
        """Send emulated webhooks, and let small things happen, for as long as the server runs."""
        await self.world.run(lively=self._lively)


class SandboxPlugin(Plugin):
    """Offers the sandbox, and leads connectors without a client id to it."""

    options_model: ClassVar[type[Options]] = SandboxOptions

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._served = frozenset[str]()

    @hookimpl
    def tidings_option_defaults(
        self, server: ServerAddress, configured: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Addresses and clients of the sandbox, for connectors that have no client of their own.

        Raises:
            ConfigError: The server can be reached from other machines, and `allow_public` is not set.
        """
        options = self._sandbox_options()
        if not options.allow_public:
            _refuse_public(server)
        base = f"{server.public_url.rstrip('/')}/sandbox"
        served = [kind for kind in EMULATORS if _is_served(configured, f"connector/{kind.name}")]
        self._served = frozenset(kind.name for kind in served)
        return {
            f"connector/{kind.name}": kind.options(f"{base}/{kind.name}", options.seed, lively=options.lively)
            for kind in served
        }

    @hookimpl
    def tidings_extras(self, context: Context) -> Iterable[Extra]:
        """The sandbox."""
        options = self._sandbox_options()
        world = World(
            context.clock,
            seed=options.seed,
            public_url=context.public_url,
            keep_happenings=_KEPT_HAPPENINGS,
        )
        if options.lively:
            world.become_lively()
        control = Control(world, context.access, self._served)
        return [SandboxExtra(world, control, lively=options.lively)]

    def _sandbox_options(self) -> SandboxOptions:
        assert isinstance(self.options, SandboxOptions)
        return self.options


def _is_served(configured: Mapping[str, Mapping[str, Any]], connector: str) -> bool:
    """Whether a connector is named by the configuration, and without a client of its own."""
    options = configured.get(connector)
    return options is not None and not options.get("client_id") and not options.get("clients")


def _refuse_public(server: ServerAddress) -> None:
    for key, host in (("host", server.host), ("public_url", urlsplit(server.public_url).hostname or "")):
        if not _is_loopback(host):
            raise ConfigError(
                f"server.{key}: {host} can be reached from other machines, and the sandbox would let anybody "
                "connect invented accounts. Take `sandbox:` out of plugins.extras, or write "
                "sandbox: {allow_public: true}."
            )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
