"""Canaries: marks in every secret that is made while tests run, and who looks for them in all that gets out.

`plant` marks what tidings makes: it replaces the functions of the module `secrets`, which every such place calls. The
sandbox marks what its platforms give out. A mark is short, so looking for one costs next to nothing, and a part of
a secret that was cut is found too. Each says what kind of secret it stands in.

`Watch` looks at every answer, frame and log line of every `live_server`, at its metrics and its health when it
stops, at the output of commands, and at the databases and logs that a test leaves. What may hold a secret, because that
is its purpose, is listed in `ALLOWED`, `ALLOWED_COMMANDS` and nowhere else.
"""

from __future__ import annotations

import base64
import dataclasses
import logging
import mmap
import re
import secrets
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from sqlalchemy import make_url
from starlette.types import Scope

from tidings.discretion import redact_line
from tidings.services import Services
from tidings.testing import listening
from tidings_sandbox.tokens import MARK as SANDBOX

PLANTED = "cAnArY"

#: Where tidings makes secrets, by module and function, and the letter of their kind.
KINDS = {
    ("tidings.sessions", "add_login_link"): "L",
    ("tidings.sessions", "sign_in"): "C",
    ("tidings.api_tokens", "add_token"): "T",
    ("tidings.tickets", "issue_ticket"): "K",
    ("tidings.registrations", "add_registration"): "W",
    ("tidings.oauth", "new_verifier"): "P",
    ("tidings.consent", "begin"): "S",
    ("tidings.provisioning", "begin"): "S",
    ("tidings.keys", "_new_line"): "V",
}
NAMES = {
    "L": "a login link", "C": "a session cookie", "T": "an API token", "K": "a ticket", "W": "a webhook secret",
    "P": "a PKCE verifier", "S": "an OAuth state", "V": "a key of the vault",
}  # fmt: skip
#: Where something random is made that anybody may see.
NO_SECRETS = {
    ("tidings.apilogin", "_verifier"),
    ("tidings.cli.send_sample", "_send"),
    ("tidings.keys", "_draft"),
    ("tidings.messages", "compose"),
    ("tidings.refreshing", "run"),
    ("tidings.scheduler", "_claim"),
}


def _as_base64(mark: str) -> list[bytes]:
    """How a mark looks within base64, wherever it begins: as in HTTP Basic."""
    found = []
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + mark.encode()).rstrip(b"=")
        # The first and the last letters hold bits of the neighbours too.
        found.append(text[-(-offset * 8 // 6) : (offset + len(mark)) * 8 // 6])
    return found


PLAIN = [PLANTED.encode(), SANDBOX.encode(), b"PRIVATE KEY-----"]
MARKS = [*PLAIN, *_as_base64(PLANTED), *_as_base64(SANDBOX)]
TEXTS = [mark.decode() for mark in MARKS]
_LONGEST = max(map(len, MARKS))


@dataclasses.dataclass(frozen=True)
class Allowed:
    """An answer whose purpose is to hand out a secret.

    Attributes:
        part: `body`, or the name of a header in lower case.
        kinds: Letters of the kinds that it may hold; "*" for what the sandbox gives out too.
    """

    method: str
    path: str
    part: str
    kinds: str
    why: str


ALLOWED = [
    Allowed("POST", r"/api/tokens", "body", "T", "shows a new API token, once"),
    Allowed("POST", r"/api/tickets", "body", "K", "gives a ticket to who has proved who they are"),
    Allowed("GET", r"/login/[^/]+", "set-cookie", "C", "signs in"),
    Allowed("GET", r"/api/oauth/[a-z]+/start", "location", "S", "sends the browser to the platform with its state"),
    Allowed("GET", r"/api/platforms/[a-z]+/provision", "body", "S", "a form to the platform, with its state"),
    Allowed("GET", r"/api/platforms/[a-z]+/manifest", "body", "S", "the same form, as JSON"),
    Allowed(".*", r"/sandbox/(?!api/)[a-z]+/.*", ".*", "*", "these are the platforms, not tidings"),
]  # fmt: skip

#: Commands whose purpose is to show a secret once, and its kind.
ALLOWED_COMMANDS = {
    ("token", "create"): "T",
    ("user", "add"): "L",
    ("user", "link"): "L",
    ("webhook", "add"): "W",
}


def plant() -> None:
    """Mark all secrets that this process makes from now on."""
    for name in ("token_urlsafe", "token_hex", "token_bytes"):
        setattr(secrets, name, _planting(getattr(secrets, name)))


def _planting(make: Callable[..., Any]) -> Callable[..., Any]:
    def made(*args: Any) -> Any:
        value = make(*args)
        frame = sys._getframe(1)
        module = str(frame.f_globals.get("__name__"))
        if not module.startswith("tidings."):
            return value
        place = (module, frame.f_code.co_name)
        kind = KINDS.get(place)
        if kind is None:
            assert place in NO_SECRETS, f"{place} makes something random: say in canaries.py what it is."
            return value
        mark = PLANTED + kind
        if isinstance(value, bytes):  # shown as base64
            return base64.b64decode(f"{mark}A") + value[6:]
        return mark + value[len(mark) :]

    return made


class Watch:
    """Looks for marks; see `tidings.testing.listening.Listener`.

    Attributes:
        found: What was found since the last `take`, one sentence each; never the secret.
        tell: Told of each at once.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self.tell: Callable[[str], object] = lambda found: None
        self._seen: dict[Path, tuple[int, int]] = {}

    def take(self) -> list[str]:
        found, self.found = self.found, []
        return found

    # --- a server ---

    def sent(self, scope: Scope | None, before: bytes, piece: bytes) -> None:
        before = before[-_LONGEST:]
        whole = before + piece
        for mark in MARKS:
            if mark in whole:
                self._judge(scope, whole, len(before))
                return

    def logged(self, line: Mapping[str, Any]) -> None:
        text = "\0".join(map(str, line.values()))
        if not any(mark in text for mark in TEXTS):
            return
        for key, value in line.items():
            if not isinstance(value, int | float):
                self._look(
                    value if type(value) is str else repr(value), f"the log line {line['event']!r}, {key}"
                )

    def stopped(self, services: Services) -> None:
        self._look(services.metrics.expose().decode(), "the metrics")
        self._look(repr(services.health.report()), "the report on health")
        database = make_url(services.settings.database).database
        if database:
            self.scan(Path(database))

    # --- commands, and what a test leaves ---

    def told(self, args: Sequence[str], result: Result) -> None:
        kind = next((kind for words, kind in ALLOWED_COMMANDS.items() if _has(args, words)), "")
        output = result.output
        if kind:
            output = output.replace(PLANTED + kind, "")
        name = " ".join(["tidings", *args])
        self._look(output, f"the output of: {name}")
        if result.exception is not None:
            self._look("".join(traceback.format_exception(result.exception)), f"the error of: {name}")

    def scan(self, path: Path) -> None:
        """Look at a file, unless it is as it was."""
        try:
            stat = path.stat()
            if not stat.st_size or self._seen.get(path) == (stat.st_mtime_ns, stat.st_size):
                return
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                for mark in PLAIN:
                    at = content.find(mark)
                    if at >= 0:
                        self._found(content[at : at + len(mark) + 1], f"the file {path.name}")
        except OSError:
            return  # it is gone, or nobody may read it
        self._seen[path] = (stat.st_mtime_ns, stat.st_size)

    def scan_folder(self, folder: Path) -> None:
        self._seen = {path: seen for path, seen in self._seen.items() if folder in path.parents}
        for pattern in ("*.db", "*.db-wal", "*.log"):
            for path in folder.rglob(pattern):
                self.scan(path)

    # --- what it makes of it ---

    def _look(self, text: str, where: str) -> None:
        for mark in TEXTS:
            at = text.find(mark)
            if at >= 0:
                self._found(text[at : at + len(mark) + 1].encode(), where)

    def _judge(self, scope: Scope | None, whole: bytes, seam: int) -> None:
        """Look closer at what has a mark in it; what lies before the seam was looked at already."""
        method, path = ("", "") if scope is None else (scope["method"], scope["path"])
        head = whole.find(b"\r\n\r\n", seam) if whole.startswith(b"HTTP/1.", seam) else seam
        for mark in MARKS:
            for match in re.finditer(re.escape(mark), whole):
                at, end = match.start(), match.end() + 1  # with the letter
                if end > len(whole) or end <= seam:
                    continue
                part = "body"
                if seam <= at < head:
                    line = whole[whole.rfind(b"\r\n", 0, at) + 2 : at]
                    part = line.partition(b":")[0].decode("latin-1").lower()
                found = whole[at:end]
                if not any(_permits(one, method, path, part, found) for one in ALLOWED):
                    # A path may hold a secret: whoever sends it, sends it with that.
                    self._found(found, f"the answer to {method} {_without_marks(path)}, {part}")

    def _found(self, mark: bytes, where: str) -> None:
        sentence = f"{_kind(mark)} stands in {where}."
        if sentence not in self.found:
            self.found.append(sentence)
            self.tell(sentence)


def _permits(allowed: Allowed, method: str, path: str, part: str, found: bytes) -> bool:
    if not (re.fullmatch(allowed.method, method) and re.fullmatch(allowed.path, path)):
        return False
    if not re.fullmatch(allowed.part, part):
        return False
    return allowed.kinds == "*" or (
        found.startswith(PLANTED.encode()) and found[len(PLANTED) :].decode("latin-1") in allowed.kinds
    )


def _kind(mark: bytes) -> str:
    if mark.startswith(PLANTED.encode()):
        return NAMES.get(mark[len(PLANTED) :].decode("latin-1"), "a secret of tidings")
    if mark.startswith(SANDBOX.encode()):
        return "a secret of an emulated platform"
    return "a private key" if mark.startswith(b"PRIVATE") else "a secret, as base64,"


def _without_marks(path: str) -> str:
    return re.sub(rf"[^/]*(?:{PLANTED}|{SANDBOX})[^/]*", "…", path)


def _has(args: Sequence[str], words: tuple[str, str]) -> bool:
    return any(tuple(args[at : at + 2]) == words for at in range(len(args) - 1))


class _Libraries(logging.Handler):
    """Hears what libraries log, as `tidings.logs` passes it on."""

    def emit(self, record: logging.LogRecord) -> None:
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        line = {"event": record.name, "message": record.getMessage(), "exception": trace}
        watch.logged(redact_line(None, "", line))


#: Who looks, in this process.
watch = Watch()


def begin(tell: Callable[[str], object] = lambda found: None) -> None:
    """Plant, and look at everything from now on; once in a process.

    Args:
        tell: Told at once of what is found, where nobody will ask for it: the process may be killed.
    """
    watch.tell = tell
    plant()
    listening.listeners.append(watch)
    logging.getLogger().addHandler(_Libraries(logging.WARNING))
    invoke = CliRunner.invoke

    def invoked(runner: CliRunner, command: Any, args: Any = None, **more: Any) -> Result:
        result = invoke(runner, command, args, **more)
        watch.told(list(args or ()), result)
        return result

    CliRunner.invoke = invoked  # type: ignore[method-assign]  # so that every test's commands are heard
