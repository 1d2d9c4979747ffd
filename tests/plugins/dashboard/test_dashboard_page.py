"""The page's sources: fit for a strict content security policy, safe with data, readable in both schemes."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise

import pytest

from tidings_dashboard.assets import client_folder

STATIC = resources.files("tidings_dashboard") / "static"
FILES = sorted(file.name for file in STATIC.iterdir())
SOURCES = {name: (STATIC / name).read_text("utf-8") for name in FILES if not name.endswith(".png")}
SCRIPTS = {name: source for name, source in SOURCES.items() if name.endswith(".js")}
CLIENT = {f"client/{file.name}": file.read_text("utf-8") for file in client_folder().iterdir()}
NAMESPACE = "http://www.w3.org/2000/svg"  # a name, never fetched


class Elements(HTMLParser):
    """Collects start tags, and the text inside of `script` and `style`."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.inline += data.strip()

    def values(self, *names: str) -> Iterator[str]:
        return (attrs[name] or "" for _, attrs in self.tags for name in names if name in attrs)


def violations(source: str) -> list[str]:
    """What a policy without 'unsafe-inline' would block."""
    page = Elements(source)
    found = [name for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "style"]
    found += [value for value in page.values("href", "src", "action") if value.startswith("javascript:")]
    found += [tag for tag, _ in page.tags if tag in {"style", "base", "iframe", "object", "embed"}]
    return found + ([page.inline] if page.inline else [])


def test_the_html_has_no_inline_script_style_or_handler() -> None:
    assert violations(SOURCES["index.html"]) == []


@pytest.mark.parametrize(
    "planted",
    [
        "<script>alert(1)</script>",
        "<style>p {}</style>",
        "<p style='color: red'>",
        "<p onclick='x()'>",
        "<a href='javascript:x()'>",
        "<base href='/'>",
    ],
)
def test_what_the_policy_would_block_is_noticed(planted: str) -> None:
    assert violations(planted)


@pytest.mark.parametrize("name", SOURCES)
def test_no_source_names_a_foreign_address(name: str) -> None:
    source = SOURCES[name].replace(NAMESPACE, "")
    assert re.findall(r"(?i)(?:https?:|wss?:|[\"'(])//[a-z0-9]\S*", source) == []


def test_the_html_asks_for_the_page_s_own_files_alone() -> None:
    page = Elements(SOURCES["index.html"])
    wanted = {value for value in page.values("href", "src") if value.startswith("/static/")}
    named_elsewhere = {"index.html", "sw.js", "icon-192.png", "icon-512.png", "icon-maskable.png"}
    assert wanted == {f"/static/dashboard/{name}" for name in (CLIENT.keys() | FILES) - named_elsewhere}
    others = set(page.values("href", "src")) - wanted
    assert others == {"#main", "#feed", "#connections", "#activity", "#notifications"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_import_only_what_is_served(name: str) -> None:
    imported = re.findall(r"""^import [^;]*from "\./(.+)";$""", SCRIPTS[name], re.MULTILINE)
    assert len(re.findall(r"^import\b", SCRIPTS[name], re.MULTILINE)) == len(imported)
    assert set(imported) <= set(SCRIPTS | CLIENT)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_never_turn_data_into_markup_or_code(name: str) -> None:
    dangerous = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
    dangerous += r"|setHTMLUnsafe|srcdoc|\beval\b|new Function|setAttribute\(\"(?:on|style|href|src)"
    assert re.findall(dangerous, SCRIPTS[name]) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_keep_nothing_in_the_browser(name: str) -> None:
    assert re.findall(r"localStorage|sessionStorage|indexedDB|document\.cookie", SCRIPTS[name]) == []


def test_the_manifest_names_the_page_and_icons_that_are_there() -> None:
    manifest = json.loads(SOURCES["manifest.webmanifest"])
    assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("/", "/", "standalone")
    icons = {icon["src"].removeprefix("/static/dashboard/"): icon["sizes"] for icon in manifest["icons"]}
    assert icons.keys() <= set(FILES)
    for name, sizes in icons.items():
        if name.endswith(".png"):
            body = (STATIC / name).read_bytes()  # PNG's IHDR: width and height at bytes 16 and 20
            width, height = (int.from_bytes(body[at : at + 4], "big") for at in (16, 20))
            assert f"{width}x{height}" == sizes


def test_every_part_that_a_script_names_is_in_the_html() -> None:
    ids = list(Elements(SOURCES["index.html"]).values("id"))
    assert len(ids) == len(set(ids))
    named = set(re.findall(r'part\("([a-z-]+)"\)', SCRIPTS["app.js"]))
    assert named <= set(ids)
    classes = set(re.findall(r'part\("\.([a-z-]+)(?: a)?"\)', SCRIPTS["row.js"]))
    assert len(classes) > 5
    assert classes <= {
        name for value in Elements(SOURCES["index.html"]).values("class") for name in value.split()
    }


def test_every_button_says_that_it_is_one_and_every_field_has_a_label() -> None:
    tags = Elements(SOURCES["index.html"]).tags
    assert all("type" in attrs for tag, attrs in tags if tag == "button")
    labelled = {attrs.get("for") for tag, attrs in tags if tag == "label"}
    assert {attrs.get("id") for tag, attrs in tags if tag in {"input", "textarea"}} == labelled


def test_the_html_has_a_language_landmarks_and_headings_in_order() -> None:
    tags = Elements(SOURCES["index.html"]).tags
    assert ("html", {"lang": "en"}) in tags
    assert {"header", "main", "h1"} <= {tag for tag, _ in tags}
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))


def colours(scheme: str) -> dict[str, str]:
    """The custom properties of a colour scheme that are plain colours."""
    blocks = re.findall(r":root \{(.*?)\}", SOURCES["style.css"], re.DOTALL)
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", blocks[["light", "dark"].index(scheme)]))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("ink", "paper", 7),
        ("ink", "raised", 7),
        ("muted", "paper", 4.5),
        ("muted", "raised", 4.5),
        ("muted", "sunken", 4.5),
        ("accent", "paper", 4.5),
        ("accent", "sunken", 4.5),
        ("accent", "tint", 4.5),
        ("on-accent", "accent", 4.5),
        ("fault", "raised", 4.5),
        ("paper", "ink", 4.5),
        ("paper", "fault", 4.5),
        ("ink", "warn", 7),
        ("ink", "warn-stripe", 7),
        ("edge", "paper", 3),
        ("edge", "raised", 3),
        ("live", "paper", 3),
        ("wait", "paper", 3),
        ("fault", "paper", 3),
    ],
)
def test_colours_that_meet_can_be_told_apart(scheme: str, front: str, back: str, least: float) -> None:
    found = colours(scheme)
    assert contrast(found[front], found[back]) >= least


def test_those_who_want_less_motion_get_none() -> None:
    rule = SOURCES["style.css"].partition("@media (prefers-reduced-motion: reduce)")[2]
    moving = set(re.findall(r"(\.[a-z]+)[^{}]*\{[^{}]*animation: (?!none)", SOURCES["style.css"]))
    assert moving == {".fresh", ".state", ".toast"}  # .state moves its .dot
    assert ".fresh, .dot, .toast { animation: none !important; }" in rule


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_stay_small_enough_to_read(name: str) -> None:
    assert len(SCRIPTS[name].splitlines()) <= (450 if name == "words.js" else 300)


# --- one place for everything that is said ------------------------------------------------------------------------

WORDS = {
    f"{group}.{name}"
    for group, body in re.findall(
        r"^export const ([A-Z_]+) = \{$(.*?)^\};$", SCRIPTS["words.js"], re.MULTILINE | re.DOTALL
    )
    for name in re.findall(r'^  "?([\w-]+)"?:', body, re.MULTILINE)
}
# What a person could read: a capital and small letters, or two words of letters in a row.
SPOKEN = re.compile(r"^[A-WYZ][a-z]+[.,:]?$|[a-z]{2,}[,.:;]? [a-z]{2,}|[A-Z][a-z]+ [a-zX]+")
# Strings that look like words and are names: of keys, events and elements.
NAMES = re.compile(
    r"^(?:(?:noopener|Array|Tag|Enter|Firefox|Chrome|Safari|Edge|Windows|Mac|Android|Linux|Notification)\b|use strict$)"
)


def spoken(source: str) -> list[str]:
    """The strings of a script that somebody could read, but for comments, selectors and what goes into the log."""
    source = re.sub(r"/\*.*?\*/|(?<![:\w\"'`])//[^\n]*", "", source, flags=re.DOTALL)
    found = re.findall(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`', source)
    strings = [re.sub(r"\$\{[^}]*\}", "X", one or other) for one, other in found]
    return [one for one in strings if SPOKEN.search(one) and not NAMES.match(one)]


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - {"words.js"}))
def test_no_script_says_anything_in_its_own_words(name: str) -> None:
    assert spoken(SCRIPTS[name]) == []


def test_words_in_a_script_are_noticed() -> None:
    planted = 'make("p.hint", {}, "Nothing yet.", `Connect ${name} again`, "Loading"); // "a comment here"'
    assert spoken(planted) == ["Nothing yet.", "Connect X again", "Loading"]


def test_the_html_says_nothing_in_its_own_words() -> None:
    body = SOURCES["index.html"].partition("<body>")[2]
    body = re.sub(r"<noscript>.*?</noscript>|<pre>.*?</pre>", "", body, flags=re.DOTALL)
    assert re.findall(r">\s*([^<>\s][^<>]*)<", body) == ["tidings"]
    attributes = Elements(body)
    assert [value for value in attributes.values("aria-label", "title", "alt") if value] == []
    assert set(attributes.values("placeholder")) == {"https://"}


def test_every_word_is_said_somewhere_and_no_other_is_named() -> None:
    assert len(WORDS) > 150
    page = Elements(SOURCES["index.html"])
    in_html = set(page.values("data-words", "data-label"))
    assert in_html <= WORDS
    scripts = "\n".join(SCRIPTS.values())
    in_scripts = {f"{group}.{name}" for group, name in re.findall(r"\b([A-Z][A-Z_]+)\.(\w+)", scripts)}
    by_value = {
        one for one in WORDS if one.partition(".")[0] in {"STATES", "TITLES"}
    }  # looked up by what is the case
    assert WORDS - in_html - in_scripts - by_value == set()
    groups = {one.partition(".")[0] for one in WORDS}
    assert {one for one in in_scripts if one.partition(".")[0] in groups} <= WORDS
