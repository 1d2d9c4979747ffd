from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tidings import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)


def _lines(form: Any, level: str = "info") -> tuple[Any, io.StringIO]:
    file = io.StringIO()
    return logs.configure(format=form, level=level, file=file), file


def test_json_is_one_object_a_line_with_time_and_level_first() -> None:
    log, file = _lines("json")
    log.info("append", events=2, text="a\nb")
    log.error("delivery_failed", reason="x")
    first, second = (json.loads(line) for line in file.getvalue().splitlines())
    assert list(first) == ["time", "level", "event", "events", "text"]
    assert (first["level"], first["event"], first["events"], first["text"]) == ("info", "append", 2, "a\nb")
    assert (second["level"], second["reason"]) == ("error", "x")


def test_a_console_line_can_not_be_forged_by_what_it_tells() -> None:
    log, file = _lines("console")
    log.info("delivery", reason="x\n12:00 forged line", escape="\x1b[2J", blank="a b", plain="ab")
    (line,) = file.getvalue().splitlines()
    assert "\x1b" not in line
    assert "reason='x\\n12:00 forged line'" in line
    assert "blank='a b' plain=ab" in line


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "value", ["\ud800", "\0", "\u202e", "é", b"\xff", object(), {1: "\udfff"}, 10**30, float("nan")]
)
def test_any_value_can_be_told(form: str, value: object) -> None:
    log, file = _lines(form)
    log.info("first", value=value)
    log.error("second", value=value)
    text = file.getvalue()
    text.encode()
    assert "first" in text
    assert "second" in text


def test_less_severe_lines_are_left_out() -> None:
    log, file = _lines("json", "warning")
    log.info("info")
    log.warning("warning")
    assert [json.loads(line)["event"] for line in file.getvalue().splitlines()] == ["warning"]


def test_an_exception_brings_its_traceback() -> None:
    log, file = _lines("json")
    try:
        raise RuntimeError("a defect")
    except RuntimeError as error:
        log.error("request_failed", exc_info=error)
    line = json.loads(file.getvalue())
    assert "Traceback" in line["exception"]
    assert "RuntimeError: a defect" in line["exception"]


def test_what_libraries_log_takes_the_same_form() -> None:
    _, file = _lines("json")
    logging.getLogger("sqlalchemy.pool").warning("Invalid %s received.", "request")
    line = json.loads(file.getvalue())
    assert (line["event"], line["logger"]) == ("library", "sqlalchemy.pool")
    assert line["message"] == "Invalid request received."


async def test_lines_are_written_together_but_soon_and_in_order() -> None:
    log, file = _lines("json")
    for number in range(5):
        log.info("append", number=number)
    assert file.getvalue() == ""
    log.error("trouble")
    events = [json.loads(line)["event"] for line in file.getvalue().splitlines()]
    assert events == ["append"] * 5 + ["trouble"]
    log.info("later")
    await asyncio.sleep(logs._FLUSH_SECONDS * 1.5)
    assert "later" in file.getvalue()


class _Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_can_not_be_written_stops_nothing() -> None:
    log = logs.configure(format="json", level="info", file=_Broken())
    log.error("database_down")
    log.info("append")
