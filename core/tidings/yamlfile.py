"""A YAML file with the position of every key and value, and with `${VAR}` filled in.

Plain values are typed as YAML 1.2 does, so that `no` stays text and `1:30` is not 90. Variables are filled in
after parsing: nothing in the environment can change the structure of the file. Tags and merge keys are
refused; anchors work, within a limit on what they may unfold to.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import yaml
from yaml.composer import Composer, ComposerError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from tidings.durations import shorten
from tidings.errors import ConfigError

KeyPath = tuple[str | int, ...]

_MAX_BYTES: Final = 256 * 1024
_MAX_NODES: Final = 10_000
_MAX_DEPTH: Final = 32

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})?\.[0-9]{1,18}|[-+]?[1-9][0-9]{0,17}\.", re.ASCII)
_WORDS: Final = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_EXPANSION = re.compile(
    r"\$(?P<escape>\$)(?=\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}|\$\{", re.ASCII
)
_PLAIN_KEY = re.compile(r"[\w.@+-]{1,60}")
_UNFIT = re.compile("[\0\ud800-\udfff]")
_TAGS: Final = {
    ScalarNode: "tag:yaml.org,2002:str",
    SequenceNode: "tag:yaml.org,2002:seq",
    MappingNode: "tag:yaml.org,2002:map",
}


class Place(NamedTuple):
    """A position in a file, both counted from 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """Something wrong in a file; sorts in the order of the file."""

    place: Place
    text: str


@dataclasses.dataclass(frozen=True)
class Document:
    """What a file says, and where.

    Attributes:
        name: The file's name as the user gave it.
        folder: The folder of the file: what paths in it are relative to.
        value: Its keys and values. A value that could not be read is None.
        texts: Each unquoted value as text, before it was typed: `007`, `1.10`.
        problems: What could not be read.
        broken: The keys of these problems, of which no more need be said.
    """

    name: str
    folder: Path
    value: Mapping[str, Any] = dataclasses.field(repr=False)
    texts: Mapping[KeyPath, str] = dataclasses.field(repr=False)
    problems: tuple[Problem, ...]
    broken: frozenset[KeyPath]
    _keys: Mapping[KeyPath, Place] = dataclasses.field(repr=False)
    _values: Mapping[KeyPath, Place] = dataclasses.field(repr=False)

    def problem(
        self, path: KeyPath, message: str, *, at_key: bool = False, label: KeyPath | None = None
    ) -> Problem:
        """Say what is wrong at `path`, pointing at its value, or at the nearest key above it that exists.

        Args:
            path: Where.
            message: What is wrong, and what to do now.
            at_key: Point at the key.
            label: The key to name, where that isn't `path`.
        """
        return _problem(
            self.name, self._place(path, at_key=at_key), path if label is None else label, message
        )

    def _place(self, path: KeyPath, *, at_key: bool) -> Place:
        exact = self._values.get(path)
        if exact is not None and not at_key:
            return exact
        for end in range(len(path), 0, -1):
            place = self._keys.get(path[:end]) or self._values.get(path[:end])
            if place is not None:
                return place
        return self._values[()]


def load(path: Path, environ: Mapping[str, str]) -> Document:
    """Read the file at `path`.

    Raises:
        ConfigError: It can't be read, or isn't YAML with keys and values.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"{name}: there is no such file. Write one, or name another with --config FILE."
        ) from None
    except IsADirectoryError:
        raise ConfigError(f"{name}: this is a folder. Name the file in it.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{name}: the file can't be read: {reason}.") from None
    if len(raw) > _MAX_BYTES:
        raise ConfigError(f"{name}: the file is larger than {_MAX_BYTES // 1024} KiB. Is it a configuration?")
    text = raw.decode("utf-8-sig", "surrogateescape")
    if wrong := _UNFIT.search(text.replace("\0", " ")):
        _fail(name, _place_of(text, wrong.start()), "this byte is not UTF-8. Save the file as UTF-8.")
    return parse(text, name=name, folder=path.absolute().parent, environ=environ)


def parse(text: str, *, name: str, folder: Path, environ: Mapping[str, str]) -> Document:
    """Read `text`, the contents of a file called `name` in `folder`.

    Raises:
        ConfigError: It isn't YAML, or not a mapping.
    """
    root = _compose(text, name)
    if root is None:
        _fail(name, Place(1, 1), "the file is empty. Copy the config.yaml that came with tidings.")
    place = _place(root)
    if not isinstance(root, MappingNode):
        _fail(name, place, "the file must hold keys and values, such as `server:`.")
    builder = _Builder(name, environ)
    value = builder.build(root, ())
    if value is None:
        fail(builder.problems)
    return Document(
        name=name,
        folder=folder,
        value=value,
        texts=builder.texts,
        problems=tuple(builder.problems),
        broken=frozenset(builder.broken),
        _keys=builder.keys,
        _values=builder.values,
    )


def dotted(path: KeyPath) -> str:
    """A path as messages show it: `server.allowed_origins[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _PLAIN_KEY.fullmatch(part) else shorten(part))
    return text


def fail(problems: Iterable[Problem], error: type[ConfigError] = ConfigError) -> NoReturn:
    """Raise `error` with all `problems`, in the order of the file."""
    raise error(*dict.fromkeys(problem.text for problem in sorted(problems)))


# --- from text to nodes -------------------------------------------------------------------------------------


class _Composer(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML up to nodes, without its YAML 1.1 typing, and with a limit on depth."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ComposerError(None, None, "nested too deeply", self.get_mark())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _compose(text: str, name: str) -> Node | None:
    try:
        composer = _Composer(text)
    except ReaderError as error:
        character = f"U+{ord(text[error.position]):04X}"
        message = f"the character {character} can't stand in YAML. Remove it."
        _fail(name, _place_of(text, error.position), message)
    root: Node | None = None
    message = ""
    try:
        root = composer.get_single_node()
    except yaml.MarkedYAMLError as error:
        # What isn't closed ends at the end of the file; where it began is what helps.
        mark = error.problem_mark or error.context_mark or composer.get_mark()
        if re.search("end of stream|stream end", error.problem or "") and error.context_mark is not None:
            mark = error.context_mark
        message = _syntax(error.problem or "", text.splitlines()[mark.line : mark.line + 1])
    except (ValueError, OverflowError):  # PyYAML converts "\UFFFFFFFF" and %YAML 1.999… without a check
        mark = composer.get_mark()
        message = "this is not valid YAML: an escape or a directive has a number out of range."
    if message:  # raised out here, so that PyYAML's error, which holds the whole text, isn't attached
        _fail(name, Place(mark.line + 1, mark.column + 1), message)
    return root


_SYNTAX: Final = (
    ("nested too deeply", "this is nested too deeply. Nothing in tidings' configuration goes so deep."),
    (r"found character '\t'", "a tab can't indent YAML. Use spaces."),
    (r"found character '", "this character can't begin a value. Put the value in quotes."),
    (
        "mapping values are not allowed",
        "a ': ' can't stand here. Check the indentation, or put the value in quotes.",
    ),
    ("could not find expected ':'", "a ':' is missing. Check the line and the one above it."),
    ("found undefined alias", "this alias has no anchor. A value that starts with * must stand in quotes."),
    ("second occurrence", "this anchor stands twice. A value that starts with & must stand in quotes."),
    ("but found another document", "a second document starts here. Keep one."),
    ("expected <block end>", "the indentation, or a quote or bracket, doesn't fit the lines above."),
    ("found unexpected end of stream", "a quote is opened here and not closed."),
    ("got '<stream end>'", "a bracket is opened here and not closed."),
    ("expected ',' or", "a comma or a closing bracket is missing."),
    (
        "found unknown escape character",
        "this escape is unknown. Use 'single quotes', or write \\\\ for a backslash.",
    ),
)


def _syntax(problem: str, line: list[str]) -> str:
    """Say what PyYAML found, without its quotations: they may be part of a secret."""
    if line and "${" in line[0] and problem.startswith("expected ','"):
        return 'put "${…}" in quotes between { } or [ ].'
    for start, message in _SYNTAX:
        if start in problem.replace("\t", r"\t"):
            return message
    return "this is not valid YAML: " + re.sub(r"(['\"])(?!<[a-z ]+>).+?\1", "…", problem) + "."


# --- from nodes to values -----------------------------------------------------------------------------------


class _Builder:
    """Turns nodes into values and notes where everything stands."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.keys: dict[KeyPath, Place] = {}
        self.values: dict[KeyPath, Place] = {}
        self.texts: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []
        self.broken: set[KeyPath] = set()
        self._name = name
        self._environ = environ
        self._nodes = 0

    def build(self, node: Node, path: KeyPath) -> Any:
        self.values[path] = _place(node)
        self._nodes += 1
        if self._nodes > _MAX_NODES or len(path) > _MAX_DEPTH:
            _fail(self._name, _place(node), "anchors make this file too large. Write the values out.")
        if node.tag != _TAGS[type(node)]:
            return self._broken(
                path, _place(node), "tags are not supported. Put a value that starts with ! in quotes."
            )
        if isinstance(node, MappingNode):
            return {key: self.build(value, (*path, key)) for key, value in self._pairs(node, path)}
        if isinstance(node, SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node, path)

    def _pairs(self, node: MappingNode, path: KeyPath) -> Iterator[tuple[str, Node]]:
        seen: dict[str, Place] = {}
        for key_node, value_node in node.value:
            place = _place(key_node)
            key = key_node.value
            if not isinstance(key_node, ScalarNode) or not key or _UNFIT.search(key):
                self._broken(path, place, "a key must be plain text.")
            elif key == "<<" and key_node.style is None:
                self._broken(path, place, "merge keys (<<) are not supported. Write the keys out.")
            elif key in seen:
                first = seen[key].line
                self._broken((*path, key), place, f"this key stands twice, first on line {first}. Keep one.")
            else:
                seen[key] = self.keys[(*path, key)] = place
                yield key, value_node

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        try:
            text = _EXPANSION.sub(self._variable, node.value)
            if _UNFIT.search(text):
                raise ValueError("this holds a character that is not text. Remove it.")
        except ValueError as error:
            return self._broken(path, _place(node), str(error))
        if node.style is not None:
            return text
        self.texts[path] = text
        return _typed(text)

    def _variable(self, match: re.Match[str]) -> str:
        if match["escape"]:
            return "$"
        name, default = match["name"], match["default"]
        if name is None:
            raise ValueError(
                "after ${ a variable's name and } must follow. Write $${ for the characters themselves."
            )
        if default is None and name not in self._environ:
            raise ValueError(
                f"the variable {name} is not set. Set it, or give a default: ${{{name}:-default}}."
            )
        if default is not None and "${" in default:
            raise ValueError(f"the default of {name} holds another ${{…}}. Write a plain default.")
        # As in a shell, a default also stands in for a variable that is set but empty.
        return self._environ.get(name, "") or (default or ":-")[2:]

    def _broken(self, path: KeyPath, place: Place, message: str) -> None:
        self.broken.add(path)
        self.problems.append(_problem(self._name, place, path, message))


def _typed(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _place_of(text: str, index: int) -> Place:
    return Place(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _problem(name: str, place: Place, path: KeyPath, message: str) -> Problem:
    label = f"{dotted(path)}: " if path else ""
    return Problem(place, f"{name}:{place.line}:{place.column}: {label}{message}")


def _fail(name: str, place: Place, message: str) -> NoReturn:
    raise ConfigError(_problem(name, place, (), message).text)
