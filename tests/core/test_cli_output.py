"""What reaches the terminal."""

from __future__ import annotations

import json
import os
import sys
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.cli import output


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@given(st.text())
def test_no_text_reaches_the_terminal_with_a_character_it_would_obey(text: str) -> None:
    assert output.safe(text).replace("\u200d", "").isprintable()


def test_printable_text_stays_as_it_is_on_one_line() -> None:
    assert output.safe("Grüße,\n\t世界 👩\u200d💻") == "Grüße, 世界 👩\u200d💻"
    assert output.safe("\x1b]0;title\x07\x9b31m\u202egnp.exe") == "\ufffd]0;title\ufffd\ufffd31m\ufffdgnp.exe"


@given(st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_without_such_characters_means_the_same(value: object) -> None:
    line = output.safe_json(json.dumps(value, ensure_ascii=False))
    assert line.isprintable()
    assert json.loads(line) == value


def test_a_piped_table_is_aligned_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    output.say_table(("id", "name"), [(1, "x" * 300), (22, ""), (3, "[red]\x1b[31m")])
    assert capsys.readouterr().out.splitlines() == [
        "ID  NAME",
        "1   " + "x" * 300,
        "22  -",
        "3   [red]\ufffd[31m",
    ]


def test_a_table_in_a_terminal_takes_names_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    output.say_table(("name",), [("[red]x[/red]",)])
    assert "[red]x[/red]" in terminal.getvalue()
    assert "\x1b[3" not in terminal.getvalue()


def test_only_a_terminal_that_wants_it_gets_style(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.painted("x", "dim") == "x"
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert output.painted("x", "dim") == "\x1b[2mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.painted("x", "dim") == "x"


def test_a_closed_pipe_is_noticed_without_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert not output.nobody_reads()
        os.close(reading)
        assert output.nobody_reads()


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 bytes"), (1536, "1.5 KiB"), (3 * 2**20, "3.0 MiB"), (2**41, "2048.0 GiB")]
)
def test_sizes_are_readable(size_bytes: int, text: str) -> None:
    assert output.readable_size(size_bytes) == text
