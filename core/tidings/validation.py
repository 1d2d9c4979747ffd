"""From what a file says to a pydantic model, with errors that say where, what and what to do now."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tidings.durations import shorten
from tidings.secret import Source, inner_types, may_hold_secret, scrub, written_secrets
from tidings.yamlfile import Document, KeyPath, Problem

Model = TypeVar("Model", bound=BaseModel)


def validate(
    model: type[Model], document: Document, path: KeyPath, value: Mapping[str, Any]
) -> tuple[Model | None, list[Problem]]:
    """Make a `model` of `value`, which stands at `path` of `document`.

    Returns:
        The model, or None; and what is wrong with the value, except what the document had to say already.
    """
    source = Source(document.folder)
    instance, errors = _attempt(model, value, source)
    retyped = _as_text(model, document, path, value, errors)
    if retyped is not None:
        value = retyped
        instance, errors = _attempt(model, value, source)
    secrets = [*written_secrets(model, value), *source.read]
    problems: dict[KeyPath, Problem] = {}
    for error in errors:
        where, annotations = _locate(model, value, error["loc"])
        at = path + where
        if error["type"] in _ECHOES or any(at[: len(broken)] == broken for broken in document.broken):
            continue
        message = scrub(_message(error, document, at, annotations), secrets)
        if error["type"] == "extra_forbidden":
            known = _keys(model, where[:-1])
            message = f"no key named {shorten(at[-1])}. Known: {', '.join(known) or 'none'}."
            problem = document.problem(at, message + near(at[-1], known), at_key=True, label=at[:-1])
        else:
            problem = document.problem(at, message)
        problems.setdefault(at, problem)
    return instance, [found for at, found in problems.items() if not _outdone(at, problems)]


def near(word: object, words: Iterable[str]) -> str:
    """` Did you mean 'x'?` where one of `words` is much like `word`, else nothing."""
    close = difflib.get_close_matches(str(word).lower()[:60], list(words), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


# An error that only follows from another one.
_ECHOES: Final = {"default_factory_not_called"}

_WORDING: Final = {
    "missing": "this key is missing. Add it.",
    "int_": "{shown} is not a whole number. Write it in digits, such as 10.",
    "float_": "{shown} is not a number. Write one such as 1.5.",
    "finite_number": "{shown} is not a number. Write one such as 1.5.",
    "bool_": "{shown} is neither true nor false. Write one of them.",
    "string_type": "text is expected, not {other}. Write text.",
    "string_too_short": "{shown} is too short. Write {min_length} characters or more.",
    "string_too_long": "{shown} is too long. Write {max_length} characters or fewer.",
    "string_pattern_mismatch": "{shown} does not fit. Write text that matches {pattern}.",
    "literal_error": "{shown} is not supported. Write {expected}.",
    "enum": "{shown} is not supported. Write {expected}.",
    "greater_than_equal": "{shown} is too small. Write {ge} or more.",
    "greater_than": "{shown} is too small. Write more than {gt}.",
    "less_than_equal": "{shown} is too large. Write {le} or less.",
    "less_than": "{shown} is too large. Write less than {lt}.",
    "too_short": "this has too few items. Write {min_length} or more.",
    "too_long": "this has too many items. Write {max_length} or fewer.",
    "list_type": "a list is expected, not {other}. Write [a, b], or one item a line behind a dash.",
    "tuple_type": "a list is expected, not {other}. Write [a, b], or one item a line behind a dash.",
    "set_type": "a list is expected, not {other}. Write [a, b], or one item a line behind a dash.",
    "frozen_set_type": "a list is expected, not {other}. Write [a, b], or one item a line behind a dash.",
    "model_": "keys with values are expected, not {other}. Write them below this key, indented.",
    "dict_type": "keys with values are expected, not {other}. Write them below this key, indented.",
    "mapping_type": "keys with values are expected, not {other}. Write them below this key, indented.",
    "dataclass_": "keys with values are expected, not {other}. Write them below this key, indented.",
    "url_": "{shown} is not a URL that fits. Write one such as https://example.org.",
}


def _outdone(at: KeyPath, others: Iterable[KeyPath]) -> bool:
    """Whether another problem lies deeper: then a union's members disagree, and that one tells more."""
    return any(len(other) > len(at) and other[: len(at)] == at for other in others)


def _attempt(
    model: type[Model], value: Mapping[str, Any], source: Source
) -> tuple[Model | None, list[ErrorDetails]]:
    try:
        return model.model_validate(value, context=source), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _as_text(
    model: type[BaseModel],
    document: Document,
    path: KeyPath,
    value: Mapping[str, Any],
    errors: list[ErrorDetails],
) -> Mapping[str, Any] | None:
    """`value` with numbers and true/false as they were written where text is wanted, or None if none is."""
    changed = None
    for error in errors:
        where, _ = _locate(model, value, error["loc"])
        text = document.texts.get(path + where)
        if error["type"] == "string_type" and text is not None and error["input"] is not None:
            changed = _replaced(value if changed is None else changed, where, text)
    return changed


def _replaced(value: Any, where: KeyPath, text: str) -> Any:
    if not where:
        return text
    if isinstance(value, Mapping):
        return {
            key: _replaced(item, where[1:], text) if key == where[0] else item for key, item in value.items()
        }
    return [
        _replaced(item, where[1:], text) if index == where[0] else item for index, item in enumerate(value)
    ]


def _locate(model: type[BaseModel], value: object, loc: tuple[str | int, ...]) -> tuple[KeyPath, list[Any]]:
    """Where in `value` pydantic's `loc` is, less its names of union members; and the types expected there."""
    where: KeyPath = ()
    annotations: list[Any] = [model]
    for part in loc:
        inner = [found for annotation in annotations for found in inner_types(annotation, part)]
        found, value = _part(value, part)
        if found or inner:
            where, annotations = (*where, part), inner
    return where, annotations


def _part(value: object, part: str | int) -> tuple[bool, Any]:
    """Whether `value` has this part, and the part; `value` itself where it hasn't."""
    if isinstance(value, Mapping) and part in value:
        return True, value[part]
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return True, value[part]
    return False, value


def _keys(model: type[BaseModel], where: KeyPath) -> list[str]:
    annotations: list[Any] = [model]
    for part in where:
        annotations = [found for annotation in annotations for found in inner_types(annotation, part)]
    return list(dict.fromkeys(key for annotation in annotations for key in _field_names(annotation)))


def _field_names(annotation: Any) -> Iterable[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield field.alias or name
    else:
        for argument in getattr(annotation, "__args__", ()):
            yield from _field_names(argument)


def _message(error: ErrorDetails, document: Document, at: KeyPath, annotations: list[Any]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        return _sentence(str(context["error"]))
    if error["input"] is None and kind != "missing":
        return "this has no value. Write one, or remove the key."
    name = next((part for part in reversed(at) if isinstance(part, str)), "")
    open_ = annotations and not any(may_hold_secret(annotation, name) for annotation in annotations)
    shown, other = "the value", _kind(error["input"])
    if open_:
        number = isinstance(error["input"], int | float)  # shown as it was written: 0x1F, 1.10
        shown = other = (number and document.texts.get(at)) or shorten(error["input"])
    wording = next((text for start, text in _WORDING.items() if kind.startswith(start)), None)
    if wording is None:
        return _sentence(f"{shown} does not fit: {error['msg']}")
    context = {key: re.sub(r"'(\w+)'", r"\1", str(item)) for key, item in context.items()}
    return wording.format(shown=shown, other=other, **context)


def _kind(value: object) -> str:
    return shorten(value) if isinstance(value, list | Mapping) else "a single value"


def _sentence(text: str) -> str:
    text = " ".join(text.split()) or "the value does not fit"
    return text if text[-1] in ".?!" else text + "."
