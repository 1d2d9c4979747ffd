"""Every link leads somewhere, and every page is finished."""

import re
from collections.abc import Iterator
from pathlib import Path

import markdown_pages as md
import pytest

UNFINISHED = re.compile(
    r"\b(TODO|TBD|FIXME|XXX|WIP|lorem ipsum|coming soon|to be written|placeholder)\b", re.IGNORECASE
)
FOREIGN = re.compile(r"(?<![\w.])/(?:work|root|home)/")  # a workplace's own paths


def broken(page: Path, text: str) -> Iterator[str]:
    """The relative links of a page that lead nowhere."""
    for link in md.links(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if (
            not target.exists()
            or not target.is_relative_to(md.ROOT)
            or (anchor and anchor not in md.anchors(text if target == page else target.read_text("utf-8")))
        ):
            yield link


@pytest.mark.parametrize("page", md.PAGES, ids=md.name)
def test_every_relative_link_and_anchor_resolves(page: Path) -> None:
    assert list(broken(page, page.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "planted",
    ["[x](nowhere.md)", "[x](#nowhere)", "[x](README.md#nowhere)", "![x](docs/no.png)", "[x](../../../etc)"],
)
def test_a_link_that_leads_nowhere_is_noticed(planted: str) -> None:
    assert list(broken(md.ROOT / "CHANGELOG.md", f"# Heading\n\n{planted}\n"))


def test_links_to_headings_are_understood() -> None:
    text = "# A `code` [link](LICENSE), twice!\n\n## Same\n\n## Same\n\n```\n# no heading\n```\n"
    assert md.anchors(text) == {"a-code-link-twice", "same", "same-1"}
    own = "[a](#a-code-link-twice) [b](#same-1) [c](LICENSE) `[d](no.md)`\n"
    assert list(broken(md.ROOT / "README.md", text + own)) == []


@pytest.mark.parametrize("page", md.PAGES, ids=md.name)
def test_no_page_is_unfinished_or_names_somebody_s_folders(page: Path) -> None:
    text = page.read_text("utf-8")
    assert UNFINISHED.findall(text) == []
    assert FOREIGN.findall(text) == []


def test_every_page_of_the_documentation_can_be_reached_from_the_readme() -> None:
    start = md.ROOT / "README.md"
    reached, waiting = set(), [start]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        paths = [link.partition("#")[0] for link in md.links(page.read_text("utf-8")) if ":" not in link]
        waiting += [(page.parent / path).resolve() for path in paths if path]
    assert {md.name(page) for page in md.PAGES} - {md.name(page) for page in reached} == set()


def test_the_picture_is_there_and_small() -> None:
    picture = (md.ROOT / "docs" / "images" / "live.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 300_000
