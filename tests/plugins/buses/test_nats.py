"""What is particular to NATS: brokers that stop, hang, and want to know who connects."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from broker import Broker, broker_in, nats_bus
from buses import Node, two_nodes
from certificates import Authority
from nats_accounts import accounts
from tidings.bus import Notice, Outage, WakeUp
from tidings.clock import SystemClock
from tidings.errors import ConfigError, Unavailable
from tidings.event import UserId
from tidings_buses import connection as connection_module
from tidings_buses.credentials import Credentials
from tidings_buses.dialling import Dialler
from tidings_buses.nats import NatsBus
from tidings_buses.settings import NatsOptions

ALICE, BOB = UserId(1), UserId(2)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Broker]:
    with broker_in(tmp_path / "mortal") as broker:
        yield broker


async def outage(node: Node) -> str:
    """The reason of the outage that is told next."""
    told = await node.first(Outage)
    node.arrived.remove(told)
    return told.reason


async def test_a_broker_that_stops_is_told_and_one_that_is_back_knows_everything(mortal: Broker) -> None:
    async with two_nodes("nats", mortal) as (here, there):
        users = [UserId(number) for number in range(500)]
        await asyncio.gather(*[here.bus.watch(user_id) for user_id in users])
        await there.bus.watch(ALICE)
        mortal.stop()
        assert mortal.url in await outage(here)
        assert mortal.url in await outage(there)
        with pytest.raises(Unavailable, match=mortal.url):
            await here.bus.watch(UserId(500))
        with pytest.raises(Unavailable, match=mortal.url):
            await there.bus.publish([WakeUp(ALICE, 1)])
        await here.bus.unwatch(UserId(3))
        mortal.start()
        assert (await outage(here), await outage(there)) == ("", "")
        await there.bus.publish([WakeUp(user_id, 7) for user_id in [*users, UserId(500)]])
        await here.until(*[WakeUp(user_id, 7) for user_id in [*users, UserId(500)] if user_id != 3])
        assert WakeUp(UserId(3), 7) not in here.arrived


async def test_wake_ups_within_the_node_go_on_while_the_broker_is_away(mortal: Broker) -> None:
    async with two_nodes("nats", mortal) as (here, _):
        await here.bus.watch(ALICE)
        mortal.stop(signal.SIGKILL)
        await outage(here)
        with pytest.raises(Unavailable):
            await here.bus.publish([WakeUp(ALICE, 1)])
        await here.until(WakeUp(ALICE, 1))


async def test_a_broker_that_hangs_is_left(mortal: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    async with two_nodes("nats", mortal) as (here, there):
        await here.bus.watch(ALICE)
        with monkeypatch.context() as patch:  # a broker that is only slow is not given up so soon
            patch.setattr(connection_module, "_CONFIRM_SECONDS", 1)
            mortal.freeze()
            with pytest.raises(Unavailable):
                await here.bus.watch(BOB)
            assert "does not answer in time" in await outage(here)
        mortal.thaw()
        assert await outage(here) == ""
        await there.bus.publish([WakeUp(ALICE, 1), WakeUp(BOB, 2)])
        await here.until(WakeUp(ALICE, 1), WakeUp(BOB, 2))


async def test_a_node_that_starts_before_its_broker_waits_for_it(mortal: Broker) -> None:
    mortal.stop()
    async with two_nodes("nats", mortal) as (here, there):
        with pytest.raises(Unavailable, match=mortal.url):
            await here.bus.watch(ALICE)
        await outage(here)
        mortal.start()
        assert await outage(here) == ""
        await there.bus.watch(BOB)
        await there.bus.publish([WakeUp(ALICE, 1)])
        await here.until(WakeUp(ALICE, 1))


async def test_when_one_server_goes_another_is_taken(mortal: Broker, tmp_path: Path) -> None:
    with broker_in(tmp_path / "second") as second:
        async with two_nodes("nats", mortal, servers=[mortal.url, second.url]) as (here, _):
            await here.bus.watch(ALICE)
            mortal.stop()
            second.stop()
            reason = await outage(here)
            assert mortal.url in reason or second.url in reason
            second.start()
            assert await outage(here) == ""
            await here.bus.watch(BOB)


@asynccontextmanager
async def node(broker: Broker, **options: Any) -> AsyncIterator[Node]:
    node = Node(nats_bus(broker, SystemClock(), **options))
    try:
        yield node
    finally:
        await node.stop()


async def refusal(broker: Broker, **options: Any) -> str:
    """What is told of a broker that can't be used so."""
    async with node(broker, **options) as refused:
        return await outage(refused)


async def test_who_knows_the_password_is_let_in(tmp_path: Path) -> None:
    with broker_in(tmp_path, 'authorization { user: "tidings", password: "s3cret-of-nats" }') as broker:
        async with node(broker, user="tidings", password="s3cret-of-nats") as known:
            await known.bus.watch(ALICE)
        reason = await refusal(broker, user="tidings", password="wrong-s3cret")
        assert "Authorization Violation" in reason
        assert "s3cret" not in reason


async def test_who_has_the_token_is_let_in(tmp_path: Path) -> None:
    with broker_in(tmp_path, 'authorization { token: "t0ken-of-nats" }') as broker:
        async with node(broker, token="t0ken-of-nats") as known:
            await known.bus.watch(ALICE)
        assert "Authorization Violation" in await refusal(broker)


async def test_who_has_credentials_that_the_operator_signed_is_let_in(tmp_path: Path) -> None:
    config, credentials = accounts()
    with broker_in(tmp_path, config) as broker:
        async with node(broker, credentials=credentials) as known:
            await known.bus.watch(ALICE)
        _, others = accounts()
        assert "Authorization Violation" in await refusal(broker, credentials=others)


def test_credentials_that_were_damaged_are_refused_and_not_shown() -> None:
    _, text = accounts()
    seed = text.split("SEED-----")[1].split()[0]
    for damaged in (
        text.replace(seed, seed[:-3] + "AAA"),
        text.replace(seed, "SU"),
        "-",
        text[: len(text) // 2],
    ):
        with pytest.raises(ConfigError, match=r"plugins\.bus\.nats\.credentials") as refused:
            Credentials.parse(damaged)
        assert seed[:20] not in str(refused.value)
    assert seed not in repr(Credentials.parse(text))


def tls_config(folder: Path, authority: Authority, more: str = "") -> str:
    folder.mkdir(exist_ok=True)
    certificate, key = authority.pair("server").write(folder, "server")
    (folder / "ca.pem").write_text(authority.certificate)
    return f'tls {{ cert_file: "{certificate}", key_file: "{key}", ca_file: "{folder}/ca.pem"\n{more} }}'


async def test_a_server_is_believed_whose_authority_is_known(tmp_path: Path) -> None:
    authority = Authority()
    with broker_in(tmp_path, tls_config(tmp_path, authority)) as broker:
        servers = [broker.url.replace("nats://", "tls://")]
        async with node(broker, servers=servers, tls={"ca": authority.certificate}) as known:
            await known.bus.watch(ALICE)
        assert "certificate" in (await refusal(broker, servers=servers)).lower()
        reason = await refusal(broker, servers=servers, tls={"ca": Authority().certificate})
        assert "certificate" in reason.lower()


async def test_a_server_may_want_a_certificate_of_us(tmp_path: Path) -> None:
    authority = Authority()
    own = authority.pair("node")
    with broker_in(tmp_path, tls_config(tmp_path, authority, "verify: true")) as broker:
        tls = {"ca": authority.certificate, "certificate": own.certificate, "key": own.key}
        async with node(broker, tls=tls) as known:
            await known.bus.watch(ALICE)
        await refusal(broker, tls={"ca": authority.certificate})


async def test_a_server_that_must_encrypt_and_does_not_gets_no_password() -> None:
    """Somebody in between may leave out that the server wants to."""
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"auth_required":true,"max_payload":1048576,"nonce":"abc"}\r\n')
        heard.extend(await reader.read())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        _, credentials = accounts()
        for way in (
            {"user": "u", "password": "planted-pass"},
            {"token": "planted-token"},
            {"credentials": credentials},
        ):
            options = NatsOptions.model_validate({"servers": [f"tls://127.0.0.1:{port}"], **way})
            trial = Node(NatsBus(Dialler(options, "test"), SystemClock()))
            assert "secure connection" in (await outage(trial)).lower()
            await trial.stop()
    assert bytes(heard) == b""


async def test_a_broker_that_reads_slowly_confirms_a_watch_when_it_has_read_of_it() -> None:
    """A PONG says that everything before its PING was read, and nothing of what came behind."""
    heard, reads = bytearray(), asyncio.Event()
    reads.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"max_payload":1048576}\r\n')
        answered = 0
        while data := await reader.read(2**16):
            heard.extend(data)
            asked = heard.count(b"PING\r\n")
            writer.write(b"PONG\r\n" * (asked - answered))
            answered = asked
            await reads.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        options = NatsOptions.model_validate({"servers": [f"nats://127.0.0.1:{port}"]})
        watcher = Node(NatsBus(Dialler(options, "test"), SystemClock()))
        await watcher.bus.watch(ALICE)
        reads.clear()
        much = Notice(BOB, "platform_sync", "x", "x", b"." * 700_000)
        telling = [asyncio.create_task(watcher.bus.tell(much)) for _ in range(16)]
        watching = asyncio.create_task(watcher.bus.watch(BOB))
        _, still = await asyncio.wait([watching], timeout=0.2)  # more than fits between them is on its way
        assert still
        reads.set()
        await watching
        assert heard.index(b"SUB tidings.user.2 ") < heard.rindex(b"PING\r\n")
        await asyncio.gather(*telling)
        await watcher.stop()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"servers": []}, "at least 1"),
        ({"servers": ["http://a"]}, "not the address of a NATS server"),
        ({"servers": ["nats://u:planted@a"]}, "holds no credentials"),
        ({"servers": ["nats://a:99999"]}, "not the address of a NATS server"),
        ({"user": "a"}, "user and password belong together"),
        ({"token": "x", "user": "a", "password": "b"}, "one way to connect"),
        ({"tls": {"key": "x"}}, "belong together"),
        ({"subject": "a.>"}, "words of letters"),
        ({"subject": "a b"}, "words of letters"),
    ],
)
def test_options_that_can_t_work_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as refused:
        NatsOptions.model_validate(options)
    assert "planted" not in str(refused.value)


def test_a_server_without_a_port_has_the_usual_one() -> None:
    assert NatsOptions.model_validate({"servers": ["tls://a"]}).servers == ("tls://a:4222",)


def test_certificates_that_are_none_are_refused_and_not_shown() -> None:
    options = NatsOptions.model_validate({"tls": {"ca": "planted"}})
    with pytest.raises(ConfigError, match=r"plugins\.bus\.nats\.tls") as refused:
        Dialler(options, "test")
    assert "planted" not in str(refused.value)


def test_without_its_driver_the_bus_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("plugins: {bus: {nats: {}}}")
    code = "import sys; sys.modules['nats'] = None; import tidings.cli; tidings.cli.main()"
    command = [sys.executable, "-c", code, "--config", str(tmp_path / "config.yaml"), "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "plugins.bus.nats: its driver is missing. Run: pip install 'tidings[cluster]'." in done.stderr
