"""The JSON Schema of `config.yaml`: core's own keys, and the options of every plugin that is installed.

An editor completes and checks the file with it (https://json-schema.org, draft 2020-12).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from tidings.config import Settings
from tidings.plugins import Found

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_REQUIRED: Final = {
    "type": "boolean",
    "default": False,
    "description": "Don't start without this plugin; else it is reported where it fails, and the rest runs on.",
}
#: How a value that is no text in Python may be written, by the form that its examples show.
_WRITTEN: Final = {
    "number": ["number", "string"],
    "integer": ["integer", "string"],
    "boolean": ["boolean", "string"],
}
_FROM_FILE: Final = {
    "type": "object",
    "properties": {"file": {"type": "string", "description": "The file that holds the secret."}},
    "required": ["file"],
    "additionalProperties": False,
}


def config_schema(plugins: Sequence[Found]) -> dict[str, Any]:
    """The schema of the whole file.

    Args:
        plugins: Those that are installed; one that can't be imported takes any options.
    """
    schema = described(Settings)
    sections: dict[str, Any] = {}
    for kind, names in _by_kind(plugins).items():
        sections[kind] = {
            "type": ["object", "null"],
            "properties": names,
            "additionalProperties": False,
        }
    schema["$schema"] = _DRAFT
    schema["title"] = "tidings: config.yaml"
    schema["properties"]["plugins"] = {
        "type": "object",
        "description": "Only what is named here is loaded.",
        "properties": sections,
        "additionalProperties": False,
    }
    return schema


def described(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema without references, each option with its description and in every form that a file may have."""
    schema = model.model_json_schema()
    whole = _whole(schema, schema.get("$defs", {}))
    written: dict[str, Any] = _as_written(_documented(whole, model))
    return written


def undescribed(model: type[BaseModel]) -> list[str]:
    """The options of a model that say nowhere what they are for: neither `Attributes:` nor a description does."""
    properties = described(model).get("properties", {})
    return [name for name, one in properties.items() if not one.get("description")]


def _by_kind(plugins: Sequence[Found]) -> dict[str, dict[str, Any]]:
    kinds: dict[str, dict[str, Any]] = {}
    for plugin in plugins:
        names = kinds.setdefault(plugin.kind.section, {})
        if plugin.plugin_class is None:
            names[plugin.name] = {"type": ["object", "null"], "description": plugin.problem}
            continue
        options = described(plugin.plugin_class.options_model)
        options.setdefault("properties", {})["required"] = _REQUIRED
        options |= {"type": ["object", "null"], "description": f"From {plugin.distribution}."}
        options.pop("title", None)
        names[plugin.name] = options
    return kinds


def _whole(part: Any, definitions: Mapping[str, Any]) -> Any:
    """`part` with what its references name in their place. Options don't hold themselves, so this ends."""
    if isinstance(part, list):
        return [_whole(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    name = part.get("$ref")
    if isinstance(name, str):
        found = definitions[name.rpartition("/")[2]]
        part = {**found, **{key: value for key, value in part.items() if key != "$ref"}}
    return {key: _whole(value, definitions) for key, value in part.items() if key != "$defs"}


def _documented(schema: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The schema with descriptions from the `Attributes:` of the docstrings of the model and of its bases."""
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        texts.update(attributes(base.__doc__ or ""))
    for name, field in model.model_fields.items():
        option = schema.get("properties", {}).get(name)
        if option is None:
            continue
        if name in texts:
            option.setdefault("description", texts[name])
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                for holder in (option, *option.get("anyOf", ())):
                    _documented(holder, inner)
    return schema


def attributes(doc: str) -> dict[str, str]:
    """The entries of a docstring's `Attributes:`, each on one line."""
    _, _, section = inspect.cleandoc(doc).partition("Attributes:\n")
    section = re.split(r"^\S", section, maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _as_written(schema: Any) -> Any:
    """The schema of what a file may say: values that are read from text, `${NAME}`, and secrets from files."""
    if isinstance(schema, list):
        return [_as_written(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _as_written(value) for key, value in schema.items()}
    kind = out.get("type")
    if out.get("format") == "password":
        described = {"description": out["description"]} if "description" in out else {}
        return {"anyOf": [{"type": ["string", "null"]}, _FROM_FILE], **described}
    if isinstance(kind, str) and kind in _WRITTEN:
        out["type"] = [*_WRITTEN[kind], "null"]
        for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            out.pop(bound, None)  # `tidings check` tells of those, whichever way the value is written
    elif kind in {"string", "array"}:
        out["type"] = [kind, "null"]
    elif kind == "object":
        out["type"] = ["object", "null"]
    if "enum" in out:
        out["enum"] = [*out["enum"], None]
    return out
