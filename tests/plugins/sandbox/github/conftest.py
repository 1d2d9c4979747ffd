"""What the tests of the emulated GitHub share."""

from __future__ import annotations

import httpx
import pytest

from emulated_github import PUBLIC_URL, SCOPES, SINK, Caller, Connect, Receiver
from tidings.testing.clock import FakeClock
from tidings_sandbox.github import GitHub
from tidings_sandbox.world import World


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def world(clock: FakeClock, receiver: Receiver) -> World:
    return World(clock, seed=7, public_url=PUBLIC_URL, people=12, send=receiver)


@pytest.fixture
def github(world: World) -> GitHub:
    return world.github


@pytest.fixture
def connect(world: World, http: httpx.AsyncClient) -> Connect:
    """Gives the token of a person, by number."""

    async def connected(number: int = 0, scopes: str = SCOPES, client_id: str = "sandbox-github") -> Caller:
        person = list(world.stage.people)[number]
        consents = world.github.consents
        app = consents.app(client_id)
        assert app is not None
        code = consents.take_code(consents.grant_code(app, person, scopes.split(), SINK))
        assert code is not None
        return Caller(http, str(consents.open(code)["access_token"]), person.key)

    return connected


@pytest.fixture
async def caller(connect: Connect) -> Caller:
    return await connect()
