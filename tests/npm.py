"""Packages from npm for tests, installed by a lock file; tests are skipped where that can't be done."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

OLDEST_NODE = 20
# What npm says where there is no way to its registry, and where that is out of order.
NO_NETWORK = re.compile(
    r"code (E(NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|NETUNREACH|HOSTUNREACH|TIMEDOUT|403|407|5\d\d)|"
    r"ERR_SOCKET_TIMEOUT)"
)


def check_node(what: str) -> None:
    """Skip the test where there is no npm, or a node too old for `what`."""
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.skip(f"there is no {command} here: {what} needs it")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node {version} is too old for {what}: it needs {OLDEST_NODE} or later")


def install(folder: Path, what: str) -> None:
    """Install what the lock file in a folder names.

    Skips the test where there is no network.
    """
    flags = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
    patience = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=15000"]
    command = ["npm", "ci", *flags, *patience]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=90)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm could not install {what} within a minute and a half")
    if done.returncode != 0 and (failure := NO_NETWORK.search(done.stderr)):
        pytest.skip(f"npm has no network to install {what} by: {failure[0]}")
    assert done.returncode == 0, done.stderr


def install_in_place(folder: Path, what: str) -> None:
    """Have the folder's `node_modules` be what its lock file names; asks the network only where they are not."""
    check_node(what)
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    # Beside node_modules, which npm removes first; others may be at it in this moment.
    with (folder / ".installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = folder / "node_modules" / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            install(folder, what)
            stamp.write_text(wanted)
