"""`config.md`, and the table in the README."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Final

from generator.markdown import attributes_of, table
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tidings import config, hooks
from tidings.choices import KINDS
from tidings.durations import format_duration

DISTRIBUTION: Final = "tidings"
# The first example in a schema tells how a value is written.
_WRITTEN: Final = {"30s": "duration", "100/15m": "rate", "25MiB": "size"}
_TYPES: Final = {"integer": "whole number", "boolean": "`true` or `false`", "array": "list", "string": "text"}
_INTRODUCTION: Final = """# Configuration

`config.yaml` is the one file to edit. It runs as shipped, and every key has a default. `tidings check` reads it \
without starting anything; an error names the file, line, key and value, and says what to write instead.

## How values are written

"""
_FORMS: Final = (
    ("`30s` `15m` `6h` `1d` `500ms`", "a duration"),
    ("`25MiB` `512KiB` `10MB` `1000`", "a size in bytes"),
    ("`100/15m`", "a rate: so many in so long"),
    ("`${NAME}`", "the environment variable `NAME`, which must be set"),
    ("`${NAME:-default}`", "the same, or `default` where it is not set or empty"),
    ("`{file: /run/secrets/name}`", "for a secret: the text of that file"),
)
_PATHS: Final = """
Paths are relative to the file. A secret that is empty or blank is the same as an absent one. A value with `${…}` \
stands in block style or in quotes.
"""


def words_for_none(model: type[BaseModel], name: str) -> list[str]:
    """The words that the option takes for "no limit"."""
    found = []
    for word in ("unlimited", "forever"):
        try:
            value = getattr(model.model_validate({name: word}), name)
        except ValidationError:
            continue  # it takes another word, or none
        if value is None:
            found.append(f"`{word}`")
    return found


def form(schema: Mapping[str, Any], words: Sequence[str]) -> str:
    """How a value is written."""
    if schema.get("format") == "password":
        return "secret"
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{word}`" for word in schema.get("enum", [schema.get("const")]))
    kind = _WRITTEN.get(_example(schema)) or _TYPES[schema["type"]]
    return " or ".join([kind, *words])


def default(field: FieldInfo, schema: Mapping[str, Any], words: Sequence[str]) -> str:
    """What holds where the option is left out."""
    value, example = field.default, _example(schema)
    if field.default_factory is not None:
        return "from the others"
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return words[0] if words else "none"
    if example == "30s":
        value = format_duration(value)
    elif example == "25MiB":
        value = f"{value // 2**20}MiB" if value % 2**20 == 0 else f"{value // 2**10}KiB"
    elif isinstance(value, tuple):
        value = list(value)
    elif isinstance(value, bool):
        value = str(value).lower()
    return f"`{value}`"


def _example(schema: Mapping[str, Any]) -> str:
    return str(next(iter(schema.get("examples", ())), ""))


def options(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Key, form, default and meaning of each option of a model, and of the models in it."""
    schemas = model.model_json_schema()["properties"]
    attributes: dict[str, str] = {}
    for described in reversed(model.__mro__):  # options that connectors of one provider share stand in a base
        attributes.update(attributes_of(described.__doc__ or ""))
    for name, field in model.model_fields.items():
        if name not in schemas:
            continue
        inner = section_of(field)
        if inner is not None:
            yield from options(inner, f"{prefix}{name}.")
            continue
        variants = schemas[name].get("anyOf", [schemas[name]])
        schema = next(one for one in variants if one.get("type") != "null")
        words = words_for_none(model, name)
        meaning = field.description or attributes[name]
        without = default(field, schema, words)
        if without == "required":
            without = f"required with `{prefix[:-1]}`"
        yield f"`{prefix}{name}`", form(schema, words), without, meaning


def section_of(field: FieldInfo) -> type[config.Section] | None:
    """The section that a field holds, or None where it holds a value."""
    for found in (field.annotation, *getattr(field.annotation, "__args__", ())):
        if isinstance(found, type) and issubclass(found, config.Section):
            return found
    return None


def plugins() -> Iterator[tuple[str, str, type[hooks.Plugin]]]:
    """Section, name and class of each plugin that tidings ships, in the order of `config.yaml`."""
    for kind in KINDS:
        for point in sorted(entry_points(group=kind.group), key=lambda point: point.name):
            if point.dist is not None and point.dist.name == DISTRIBUTION:
                yield kind.section, point.name, point.load()


def all_options() -> list[tuple[str, str, str, str]]:
    """Every option there is."""
    found = list(options(config.Settings, ""))
    for section, name, plugin in plugins():
        found += options(plugin.options_model, f"plugins.{section}.{name}.")
    return found


def config_page() -> str:
    """`config.md`."""
    parts = [_INTRODUCTION, table(("value", "meaning"), _FORMS), _PATHS]
    for name, field in config.Settings.model_fields.items():
        inner = section_of(field)
        if inner is not None:
            parts.append(
                f"\n## {name}\n\n{field.description}\n\n{_options_table(options(inner, f'{name}.'))}"
            )
        elif name != "plugins":
            rows = [row for row in options(config.Settings, "") if row[0] == f"`{name}`"]
            parts.append(f"\n## {name}\n\n{_options_table(rows)}")
    parts.append(
        "\n## plugins\n\n"
        "Only what is named here is loaded; `tidings plugins` lists what could be. Every plugin takes "
        "`required: true` beside its own options: tidings then doesn't start without it. Without it a plugin that "
        "fails is reported and the rest runs on.\n"
    )
    for section, name, plugin in plugins():
        rows = list(options(plugin.options_model, f"plugins.{section}.{name}."))
        parts.append(
            f"\n### plugins.{section}.{name}\n\n{_options_table(rows) if rows else 'No options.' + chr(10)}"
        )
    return "".join(parts)


def _options_table(rows: Iterable[Sequence[str]]) -> str:
    return table(("key", "value", "default", "meaning"), rows)
