"""What `deploy/` ships is right by the tools of those who will read it: systemd, Compose and hadolint."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from postgres_server import PostgresServer
from server_process import start, write_config
from tidings.config import load
from tidings.testing.server import CONFIG, live_server

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "tidings.service"
COMPOSE = sorted(DEPLOY.glob("compose*.yaml"))
HADOLINT = Path(sysconfig.get_path("scripts")) / "hadolint"
MOST_EXPOSURE = 15  # of 100; systemd's own word for that is OK

systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def run(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, **options)


# --- systemd ---


def unit_problems(text: str, folder: Path) -> str:
    """What systemd says about a unit; its program need not be installed."""
    unit = folder / "tidings.service"
    unit.write_text(text.replace("/opt/tidings/bin/tidings", "/bin/true"))
    done = run(["systemd-analyze", "verify", "--man=no", unit])
    return "\n".join(line for line in done.stderr.splitlines() if "tidings.service" in line)


@systemd
def test_the_unit_is_one_for_systemd(tmp_path: Path) -> None:
    assert unit_problems(UNIT.read_text(), tmp_path) == ""
    assert "ProtectHoem" in unit_problems(UNIT.read_text().replace("ProtectHome", "ProtectHoem"), tmp_path)


@systemd
def test_the_unit_may_do_little(tmp_path: Path) -> None:
    def exposure(unit: Path) -> int:
        command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", unit]
        return run(command).returncode

    assert exposure(UNIT) == 0
    loose = tmp_path / "tidings.service"
    loose.write_text(re.sub(r"(?m)^(Protect|Private|Restrict|Capability).*\n", "", UNIT.read_text()))
    assert exposure(loose) != 0


def syscalls_of(group: str) -> set[str]:
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True
    )
    found: set[str] = set()
    for line in listed.stdout.splitlines()[1:]:
        name = line.strip()
        if name.startswith("@"):
            found |= syscalls_of(name)
        elif name and not name.startswith("#"):
            found.add(name)
    return found


def allowed_syscalls(unit: str) -> set[str]:
    allowed: set[str] = set()
    for words in re.findall(r"(?m)^SystemCallFilter=(.*)$", unit):
        names = words.removeprefix("~").split()
        listed = set().union(*(syscalls_of(name) if name.startswith("@") else {name} for name in names))
        allowed = allowed - listed if words.startswith("~") else allowed | listed
    return allowed


@systemd
@strace
async def test_the_unit_lets_a_server_do_all_that_it_does(tmp_path: Path) -> None:
    """From its start to its end, by the names of its system calls."""
    folder, calls = tmp_path / "state", tmp_path / "calls"
    folder.mkdir()
    write_config(folder)
    server = start(folder, prefix=["strace", "-f", "-qq", "-c", "-S", "name", "-o", str(calls)])
    try:
        async with server.client() as client:
            headers = {"authorization": f"Bearer {server.token}"}
            sent = await client.post("/api/sse/send", json={"message": {"title": "x"}}, headers=headers)
            assert sent.status_code == 200
            assert (await client.get("/api/events", headers=headers)).status_code == 200
        os.kill(server.pid, signal.SIGTERM)
        server.process.wait(60)
    finally:
        server.close()
    called = {line.split()[-1] for line in calls.read_text().splitlines() if re.match(r"\s*\d", line)} - {
        "total"
    }
    assert {"accept4", "fdatasync"} & called, "strace has seen the server"
    as_root_alone = (
        {"fchown"} if os.geteuid() == 0 else set()
    )  # SQLite's journal is to be its database's owner's
    assert called - allowed_syscalls(UNIT.read_text()) - as_root_alone == set()


# --- containers ---


def compose(text: str) -> dict[str, Any]:
    """A compose file as Compose would take it."""
    compose_spec = pytest.importorskip("compose_spec", reason="it has no wheel for this machine")
    options = compose_spec.PyOptions()
    options.apply_merge = True
    return dict(options.from_yaml(text).to_dict())


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_a_compose_file_is_one_for_compose(path: Path) -> None:
    compose(path.read_text())
    with pytest.raises(ValueError, match="restrat"):
        compose(path.read_text().replace("restart:", "restrat:"))


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_a_compose_file_names_only_what_there_is(path: Path) -> None:
    whole = yaml.safe_load(path.read_text())
    for name, service in whole["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).is_file(), f"{name}: {source}"
            else:
                assert source in whole["volumes"], f"{name}: {source}"
        if "build" in service:
            built = DEPLOY / service["build"]["context"]
            assert (built / service["build"]["dockerfile"]).is_file()
        else:
            assert re.fullmatch(r"[a-z]+:\d+(\.\d+)?", service["image"]), f"{name}: which version?"
        assert set(service.get("depends_on", {})) <= set(whole["services"])
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:") or name == "proxy", f"{name} is open to everybody"


def test_the_dockerfile_is_a_good_one() -> None:
    if not HADOLINT.exists():
        pytest.skip("hadolint has no wheel for this machine")
    path = DEPLOY / "Dockerfile"
    done = run([HADOLINT, path])
    assert (done.stdout, done.returncode) == ("", 0)
    planted = path.read_text().replace("USER 10001", "USER root")
    done = run([HADOLINT, "-"], input=planted)
    assert done.returncode != 0


def test_the_dockerfile_asks_for_a_route_and_a_port_that_there_are() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    port = re.search(r"EXPOSE (\d+)", text)
    assert port is not None
    assert f"http://127.0.0.1:{port[1]}/api/health/live" in text
    assert int(port[1]) == load(ROOT / "config.yaml").server.port


# --- settings ---


def test_the_settings_of_the_node_are_good(tmp_path: Path) -> None:
    settings = load(DEPLOY / "node" / "config.yaml", {"TIDINGS_PUBLIC_URL": "https://tidings.example.org"})
    assert settings.database_path == Path("/var/lib/tidings/tidings.db")
    whole = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert "state:/var/lib/tidings" in whole["services"]["tidings"]["volumes"]
    grace_seconds = int(whole["services"]["tidings"]["stop_grace_period"].removesuffix("s"))
    assert grace_seconds > settings.server.leave_after + 10


def test_the_settings_of_the_cluster_are_good() -> None:
    environ = {
        "TIDINGS_PUBLIC_URL": "https://tidings.example.org",
        "TIDINGS_DATABASE_PASSWORD": "p",
        "NATS_PASSWORD": "n",
    }
    settings = load(DEPLOY / "cluster" / "config.yaml", environ)
    whole = yaml.safe_load((DEPLOY / "compose.cluster.yaml").read_text())
    assert not settings.is_sqlite
    assert settings.database.rpartition("@")[2] == "postgres/tidings"
    (bus,) = [choice for choice in settings.plugins if choice.kind.section == "bus"]
    assert bus.options["servers"] == ["nats://nats:4222"]
    assert {"postgres", "nats"} < set(whole["services"])
    nodes = {name for name, service in whole["services"].items() if "build" in service}
    proxied = re.search(r"reverse_proxy (.*) \{", (DEPLOY / "cluster" / "Caddyfile").read_text())
    assert proxied is not None
    assert set(proxied[1].split()) == {f"{name}:{settings.server.port}" for name in nodes}


async def test_the_login_of_the_cluster_s_database_is_one_that_tidings_can_use(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """What the script says to PostgreSQL, said to one; the login and the database have other names there."""
    script = (DEPLOY / "cluster" / "postgres.sh").read_text()
    (said,) = re.findall(r"<<'SQL'\n(.*?)\nSQL", script, re.DOTALL)
    role, database = said.replace("tidings", "shipped").replace(":'password'", "'secret-of-it'").split("\n")
    await postgres.command(role)
    await postgres.command("GRANT shipped TO tidings")  # who may make a database for another must be a member
    await postgres.command(database)
    url = f"postgresql+asyncpg://shipped:secret-of-it@127.0.0.1:{postgres.port}/shipped"
    config = CONFIG.replace("sqlite+aiosqlite:///tidings.db", url)
    async with live_server(tmp_path, config) as server:
        assert (await server.client.get("/api/health/ready")).status_code == 200
