"""The reference says what the code says."""

import ast

import generate
import markdown_pages as md
import pytest
from generator import errors, settings
from generator.markdown import prose, table

from tidings.choices import KINDS
from tidings.config import Settings


def test_the_reference_and_the_readme_are_what_the_code_says() -> None:
    stale = [md.name(path) for path in generate.stale(generate.pages())]
    assert stale == [], "Run: make docs"


def test_a_page_that_says_something_else_is_stale() -> None:
    path = generate.REFERENCE / "metrics.md"
    text = path.read_text("utf-8")
    assert generate.stale({path: text}) == []
    assert generate.stale({path: text.replace("counter", "gauge", 1)}) == [path]
    assert generate.stale({path.with_name("none.md"): ""}) == [path.with_name("none.md")]


def test_every_key_of_the_configuration_is_listed() -> None:
    listed = {key for key, *_ in settings.all_options()}
    sections = {name: settings.section_of(field) for name, field in Settings.model_fields.items()}
    for section, model in sections.items():
        for key in model.model_fields if model else ():
            assert any(one.startswith(f"`{section}.{key}") for one in listed), f"{section}.{key}"
    assert "`auth.jwt.secret`" in listed
    assert "`plugins.transports.sse.heartbeat`" in listed
    assert {section for section, _, _ in settings.plugins()} == {kind.section for kind in KINDS}


@pytest.mark.parametrize(
    "source",
    [
        'raise Denied("x", status=403, code="brand_new")',
        'problem(400, "brand_new", "x")',
        'answer = {"error": {"code": "brand_new"}}',
        'code = {404: "brand_new"}.get(status, "x")',
    ],
)
def test_a_new_code_of_an_error_is_found_in_the_source(source: str) -> None:
    assert "brand_new" in set(errors.codes_in(ast.parse(source)))


def test_a_code_that_is_not_explained_stops_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(errors.CODES, "csrf")
    with pytest.raises(SystemExit, match=r"CODES lacks \['csrf'\]"):
        errors.errors_page()


def test_a_docstring_becomes_lists() -> None:
    doc = """What.

    Args:
        one: First,
            and more.

    Returns:
        A thing: of two
        lines.
    """
    assert (
        prose(doc)
        == "What.\n\n**Args**\n\n- `one`: First,\n  and more.\n\n**Returns**\n\nA thing: of two\nlines.\n"
    )


def test_a_row_of_a_table_is_one_line_whatever_its_cells_hold() -> None:
    rows = table(["key", "what"], [["a", "one\ntwo"], ["b", "x|y"]])
    assert rows == "| key | what |\n| --- | --- |\n| a | one two |\n| b | x\\|y |\n"
