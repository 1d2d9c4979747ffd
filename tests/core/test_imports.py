"""Imports point one way, and plugins know only what is public."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidings.testing.suites.plugin import private_names

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "tidings"

# Packages that several plugins share, and that are none themselves.
SHARED = {"tidings_google"}

# Each module may import at run time those of its own layer and of the layers before it.
LAYERS = [
    {
        "",
        "errors",
        "durations",
        "schema",
        "statements",
        "rowsets",
        "asgi",
        "clock",
        "fields",
        "metrics",
        "rhythm",
        "surface",
        "deprecated",
        "blocking",
    },
    {"event", "addresses", "secret", "yamlfile", "selection", "credentials", "keys", "websocket"},
    {"discretion"},
    {"bus", "connecting", "deliveries", "exchange", "internet", "items", "logs"},
    {"connectors"},
    {"strategies", "commonlog", "websub", "defects"},
    {"contracts", "validation", "origins"},
    {"context", "hooks", "choices", "devices"},
    {"pushers"},
    {"config"},
    {"plugins", "blame"},
    {"loopguard", "interruption", "halting"},
    {"advice", "configschema"},
    {
        "database",
        "sqlite",
        "postgres",
        "apilogin",
        "commits",
        "rowsecurity",
        "engines",
        "serverlock",
        "facts",
        "lookups",
        "migrate",
        "health",
        "supervisor",
        "rows",
        "vault",
        "outbound",
        "keysets",
        "leftovers",
        "oauth",
        "sealed",
    },
    {"nodekeys"},
    {"writer", "append", "journal", "jobs", "hints", "leases", "retries"},
    {
        "accounts",
        "sessions",
        "api_tokens",
        "registrations",
        "upstreams",
        "rights",
        "tickets",
        "jwt",
        "jwtkeys",
        "ratelimit",
        "sharedlimits",
        "push_subscriptions",
        "push_rules",
        "presence",
        "reading",
        "activity",
    },
    {"access", "security", "grants", "redemptions", "connections", "history"},
    {
        "addressing",
        "webhooks",
        "scheduler",
        "fanout",
        "subscription",
        "watches",
        "attention",
        "headcheck",
        "retention",
        "messages",
        "budgets",
        "breaker",
    },
    {"tokens", "refreshing", "feed", "pushing"},
    {"platforms"},
    {"watching", "commoncomparison"},
    {
        "consent",
        "syncing",
        "hooking",
        "recovery",
        "commonrecovery",
        "reach",
        "arrivals",
        "provisioning",
        "parking",
    },
    {"decisions"},
    {"monitor", "leaving", "copying"},
    {"upkeep", "pulling", "wishes", "watchdog"},
    {"services"},
    {"others"},
    {"tracing"},
    {"api", "app", "bootstrap", "runtime"},
    {"protocol", "websocketprotocol"},
    {"server"},
    {"testing"},
    {"scaffold", "plugincheck", "cli"},
    {"__main__"},
]


def imported(source: str, *, typing_too: bool = True) -> Iterator[str]:
    """The modules that a source imports, by their full names; `from a import b` is `a.b` and `a`."""
    tree = ast.parse(source)
    skipped: set[ast.AST] = set()
    if not typing_too:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                skipped.update(inner for part in node.body for inner in ast.walk(part))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def core_imports_of_plugins(source: str) -> list[str]:
    return [name for name in imported(source) if name.startswith("tidings_")]


def private_imports(source: str, own: str) -> list[str]:
    """What a plugin imports of core that isn't public, and of other plugins."""
    wrong = []
    for name in imported(source):
        package = name.partition(".")[0]
        if package.startswith("tidings_") and package not in {own, *SHARED}:
            wrong.append(name)
    return wrong + [name for _, name in private_names(source)]


def backward_imports(module: str, source: str) -> list[str]:
    """What a core module imports from a later layer."""
    place = _layer(module)
    names = [name for name in imported(source, typing_too=False) if name.split(".")[0] == "tidings"]
    tops = {name.partition(".")[2].partition(".")[0] for name in names}
    return sorted(top for top in tops if top in _known() and _layer(top) > place)


def _known() -> set[str]:
    return set().union(*LAYERS)


def _layer(module: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


def _sources(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*.py")):
        yield path.relative_to(folder), path.read_text(encoding="utf-8")


def test_core_imports_no_plugin() -> None:
    wrong = {
        str(path): found for path, source in _sources(CORE) if (found := core_imports_of_plugins(source))
    }
    assert wrong == {}


def test_plugins_import_what_is_public_alone() -> None:
    wrong = {}
    for path, source in _sources(ROOT / "plugins"):
        if path.parts[1].startswith("tidings_") and (found := private_imports(source, path.parts[1])):
            wrong[str(path)] = found
    assert wrong == {}


def test_every_module_of_core_has_its_layer() -> None:
    modules = {"" if path.stem == "__init__" else path.stem for path in CORE.glob("*.py")}
    modules |= {path.parent.name for path in CORE.glob("*/__init__.py")}
    assert modules - _known() == set()


def test_imports_of_core_point_one_way() -> None:
    wrong = {}
    for path, source in _sources(CORE):
        if path.parts[0] == "migrations":
            continue
        module = "" if path.parts == ("__init__.py",) else path.parts[0].removesuffix(".py")
        if found := backward_imports(module, source):
            wrong[str(path)] = found
    assert wrong == {}


@pytest.mark.parametrize(
    "planted",
    [
        "import tidings_github",
        "from tidings_github.parse import parse",
        "def f():\n  import tidings_buses.local",
    ],
)
def test_a_plugin_planted_in_core_is_found(planted: str) -> None:
    assert core_imports_of_plugins(planted)


@pytest.mark.parametrize(
    "planted",
    [
        "from tidings.journal import SqlJournal",
        "from tidings import journal",
        "import tidings.database",
        "from tidings import no_such_name",
        "from tidings.contracts import _Private",
        "from tidings_transports.sse import Sse",
        "if TYPE_CHECKING:\n  from tidings.services import Services",
    ],
)
def test_a_private_import_planted_in_a_plugin_is_found(planted: str) -> None:
    assert private_imports(planted, "tidings_github")


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("event", "from tidings.contracts import Clock"),
        ("contracts", "from tidings.hooks import Plugin"),
        ("journal", "from tidings import webhooks"),
        ("config", "def f():\n  from tidings.plugins import load_plugins"),
        ("server", "import tidings.cli.root"),
    ],
)
def test_a_backward_import_planted_in_core_is_found(module: str, planted: str) -> None:
    assert backward_imports(module, planted)


def test_imports_for_type_checkers_may_look_forward() -> None:
    assert backward_imports("config", "if TYPE_CHECKING:\n  from tidings.server import HttpServer") == []
