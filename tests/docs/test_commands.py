"""What the pages tell people to type can be typed, and the configurations that they show can be used."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import markdown_pages as md
import pytest

from tidings.cli.root import root
from tidings.config import load

COMMAND = re.compile(r"(?:^|[\s(=/])\.venv/bin/tidings( [^\n|)#;&>]*)")
SPAN = re.compile(r"(?:\.venv/bin/)?tidings ([^|…]+)")
ENVIRON = {
    "TIDINGS_JWT_SECRET": "s" * 32,
    "TIDINGS_SCRAPE_TOKEN": "scrape",
    "TIDINGS_DATABASE": "postgresql+asyncpg://tidings:a-password@db.example.org/tidings",
}


def typed(text: str) -> Iterator[tuple[str, bool]]:
    """The arguments of each call of tidings on a page, and whether it is said in full."""
    for block in md.blocks(text, "sh", "ini"):
        yield from ((match[1], True) for match in COMMAND.finditer(block.text))
    for span in md.spans(text):
        if match := SPAN.fullmatch(span):
            yield match[1], False


def problem(arguments: str, *, in_full: bool) -> str:
    """What is wrong with a call of tidings, or ""."""
    # NAME, USER, ID: something of one's own, which may have to be a number.
    words = [re.sub(r"^[A-Z]{2,}$", "1", word) for word in shlex.split(arguments)]
    command: click.Command = root
    parent: click.Context | None = None
    name = "tidings"
    try:
        while True:
            context = command.make_context(name, words, parent)
            if not isinstance(command, click.Group):
                return ""
            words = [*context._protected_args, *context.args]
            found, inner, words = command.resolve_command(context, words)
            assert found is not None
            assert inner is not None
            command, parent, name = inner, context, found
    except click.exceptions.Exit:  # --help
        return ""
    except (click.MissingParameter, click.exceptions.NoArgsIsHelpError) as error:
        return error.format_message() if in_full else ""
    except click.UsageError as error:
        return error.format_message()


@pytest.mark.parametrize("page", md.PAGES, ids=md.name)
def test_every_call_of_tidings_parses(page: Path) -> None:
    calls = list(typed(page.read_text("utf-8")))
    wrong = {f"tidings {call}": problem(call, in_full=in_full) for call, in_full in calls}
    assert {call: why for call, why in wrong.items() if why} == {}


def test_the_pages_do_call_tidings() -> None:
    called = {
        word for page in md.PAGES for call, _ in typed(page.read_text("utf-8")) for word in call.split()
    }
    assert called >= {"serve", "check", "plugins", "user", "token", "webhook", "send-sample", "tail", "db"}


@pytest.mark.parametrize(
    ("planted", "in_full"),
    [
        ("brew", True), ("user ad me", True), ("tail --follow", True), ("send-sample --count many", True),
        ("token create me", True), ("user add", True), ("token create --scopes read", False),
        ("db vacuum", False),
    ],
)  # fmt: skip
def test_a_call_that_does_not_exist_is_noticed(planted: str, in_full: bool) -> None:
    assert problem(planted, in_full=in_full)


def _configurations() -> list[tuple[str, str]]:
    return [
        (f"{md.name(page)}: {block.text.splitlines()[0]} …", block.text)
        for page in md.PAGES
        for block in md.blocks(page.read_text("utf-8"), "yaml")
    ]


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in _configurations()])
def test_every_configuration_that_a_page_shows_can_be_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    load(path, ENVIRON)


def test_the_shipped_configuration_names_every_key_of_the_reference() -> None:
    shipped = (md.ROOT / "config.yaml").read_text("utf-8")
    reference = (md.ROOT / "docs" / "reference" / "config.md").read_text("utf-8")
    keys = re.findall(r"^\| `([\w.]+)` \|", reference, re.MULTILINE)
    assert len(keys) > 20
    missing = [key for key in keys if not re.search(rf"\b{key.rsplit('.', 1)[-1]}:", shipped)]
    # Nobody needs to change the one, and nobody should the other.
    assert missing == ["plugins.transports.sse.retry", "plugins.transports.webpush.allow_private"]
