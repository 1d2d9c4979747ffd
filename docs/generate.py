"""Writes `docs/reference/` and the README's table from the code.

`python docs/generate.py` writes what has changed; with `--check` it writes nothing, and exits 1 if it would. With
`--release` it first takes the public names as they are now for those of the version that is being released.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from generator.conformance import conformance_page, test_kit_page
from generator.errors import errors_page
from generator.events import events_page
from generator.javascript import javascript_page
from generator.markdown import table
from generator.plugins import plugins_page, tools_page
from generator.publicapi import RELEASED, public_api_page, surface, written
from generator.routes import described, routes_page
from generator.settings import all_options, config_page
from generator.streams import streams_page
from generator.usage import examples_page
from generator.webpush import web_push_page
from prometheus_client.metrics import MetricWrapperBase

from tidings import __version__
from tidings.cli.reference import command_reference
from tidings.metrics import Metrics

ROOT: Final = Path(__file__).resolve().parents[1]
REFERENCE: Final = ROOT / "docs" / "reference"
README: Final = ROOT / "README.md"
BEGIN, END = "<!-- configuration: begin -->\n", "<!-- configuration: end -->\n"
NOTICE: Final = "<!-- Written by docs/generate.py from the code: `make docs` writes it again. -->\n\n"


def cli_page() -> str:
    """`cli.md`."""
    return (
        "# Command line\n\nIn a clone the command is `.venv/bin/tidings`. Results go to standard output; hints, "
        f"warnings and errors to standard error.\n\n{command_reference()}"
    )


def metrics_page() -> str:
    """`metrics.md`."""
    rows = []
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = " ".join(f"`{label}`" for label in metric._labelnames) or "none"  # no public name
            rows.append((f"`{name}`", family.type, labels, family.documentation))
    return (
        "# Metrics\n\n`GET /metrics` speaks Prometheus' text format. It needs a token with the scope `read`, or "
        "[`auth.scrape_token`](config.md#auth). A histogram has `_bucket`, `_sum` and `_count`; names that end "
        f"in `_seconds` count seconds.\n\n{table(('name', 'type', 'labels', 'meaning'), rows)}"
    )


def pages() -> dict[Path, str]:
    """Everything that is written, by path."""
    api = asyncio.run(described())
    made = {
        "config.md": config_page(),
        "cli.md": cli_page(),
        "routes.md": routes_page(api),
        "metrics.md": metrics_page(),
        "errors.md": errors_page(),
        "events.md": events_page(api),
        "streams.md": streams_page(api),
        "plugins.md": plugins_page(),
        "tools.md": tools_page(),
        "conformance.md": conformance_page(),
        "test-kit.md": test_kit_page(),
        "public-api.md": public_api_page(),
        "examples.md": examples_page(),
        "javascript.md": javascript_page(),
        "web-push.md": web_push_page(),
    }
    found = {REFERENCE / name: NOTICE + _tidy(text).rstrip() + "\n" for name, text in made.items()}
    readme = README.read_text("utf-8")
    head, tail = readme.partition(BEGIN)[0], readme.partition(END)[2]
    rows = [(key, without, meaning) for key, _, without, meaning in all_options()]
    found[README] = f"{head}{BEGIN}{_folded(rows)}{END}{tail}"
    return found


def _folded(rows: Sequence[tuple[str, str, str]]) -> str:
    """The README's table: tidings' own keys, and those of its plugins behind a click, as they are many."""
    heads = ("key", "default", "meaning")
    plugins = [row for row in rows if row[0].startswith("`plugins.")]
    own = [row for row in rows if row not in plugins]
    return (
        f"{table(heads, own)}\n<details>\n<summary>The {len(plugins)} keys of the plugins</summary>\n\n"
        f"{table(heads, plugins)}\n</details>\n"
    )


def _tidy(text: str) -> str:
    """With one blank line where there are several, but in code."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if place % 2 else re.sub(r"\n{3,}", "\n\n", part) for place, part in enumerate(parts))


def stale(found: Mapping[Path, str]) -> list[Path]:
    """The files that don't hold what the code says."""
    return [path for path, text in found.items() if not path.exists() or path.read_text("utf-8") != text]


def main(arguments: Sequence[str]) -> int:
    """Write or check; the exit code."""
    if "--release" in arguments:
        RELEASED.write_text(written(__version__, surface()), "utf-8")
    found = pages()
    changed = stale(found)
    checking = "--check" in arguments
    for path in changed:
        sys.stdout.write(f"{'stale' if checking else 'wrote'}: {path.relative_to(ROOT)}\n")
        if not checking:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found[path], "utf-8")
    return 1 if checking and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
