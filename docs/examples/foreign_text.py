"""Reading what strangers write: JSON that may hold anything, addresses that may lead anywhere."""

from datetime import UTC, datetime

from tidings.fields import (
    TEXT_LENGTH,
    TITLE_LENGTH,
    Object,
    as_instant,
    as_link,
    as_object,
    as_objects,
    as_strings,
    clean,
    clip,
    flag,
    instant,
    line,
    link,
    number,
    obj,
    objs,
    one_line,
    raw,
    text,
    word,
)
from tidings.internet import Address, Resolve, is_public_address, locate, look_up, read_address
from tidings.rhythm import ACTIVE_SECONDS, MOST_PACE, slower

POST: Object = as_object(
    {
        "id": 7,
        "title": "Two\nlines",
        "text": "First.\n\nSecond.",
        "url": "https://example.org/7",
        "draft": False,
        "at": "2026-11-05T08:30:00Z",
        "author": {"name": "ann"},
        "comments": [{"id": 1}, "junk", {"id": 2}],
    }
)


def show_fields_that_may_be_anything() -> None:
    assert number(POST, "id") == 7
    assert number(POST, "title") is None
    assert line(POST, "title") == "Two lines"
    assert text(POST, "text") == "First.\n\nSecond."
    assert word(obj(POST, "author"), "name") == raw(obj(POST, "author"), "name") == "ann"
    assert obj(POST, "editor") == {}
    assert [number(one, "id") for one in objs(POST, "comments")] == [1, 2]
    assert link(POST, "url") == "https://example.org/7"
    assert as_link("javascript:alert(1)") == ""
    assert flag(POST, "draft") is False
    assert (
        instant(POST, "at") == as_instant("2026-11-05T08:30:00Z") == datetime(2026, 11, 5, 8, 30, tzinfo=UTC)
    )
    assert as_objects([1, {"a": 1}]) == [{"a": 1}]
    assert as_strings(["a", 2, "b"]) == ["a", "b"]


def show_text_that_fits() -> None:
    assert one_line("  a\n b ") == "a b"
    assert len(clip("x" * 3000, TITLE_LENGTH)) == TITLE_LENGTH < TEXT_LENGTH
    assert "\x00" not in clean("a\x00b")


async def show_where_a_name_leads() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    ways: list[Resolve] = [look_up, resolve]  # the machine's own, and one for tests
    (found,) = await locate("feeds.example.org", 443, resolve=ways[1])
    assert not is_public_address(found)
    public: Address | None = read_address("93.184.216.34")
    assert public is not None and is_public_address(public)
    assert read_address("feeds.example.org") is None


def show_a_rhythm() -> None:
    assert 1.0 < slower(1.0) <= MOST_PACE
    assert ACTIVE_SECONDS == 7200
