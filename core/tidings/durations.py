"""Durations, sizes and rates as people write them: `30s`, `25MiB`, `100/15m`.

`Duration`, `Size` and `Rate` are types for the options of plugins too:

    class SseOptions(Options):
        heartbeat: Duration = 15.0
"""

from __future__ import annotations

import dataclasses
import re
from decimal import Decimal
from typing import Annotated, Any, Final, Self

from pydantic import (
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?) ?(ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,15}) ?([a-z]*)", re.ASCII | re.IGNORECASE)
_RATE = re.compile(r"([0-9]{1,9}) ?/ ?(.*)", re.ASCII | re.DOTALL)
_SECONDS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_BYTES: Final = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
_LONGEST_SECONDS: Final = 36500 * 86400


def parse_duration(text: str) -> float:
    """`text` (`500ms`, `30s`, `1.5h`, `1d`) in seconds.

    Raises:
        ValueError: It is not a number with one of these units, or longer than 36500 days.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{shorten(text)} is not a duration. Write 30s, 15m or 6h.")
    seconds = float(match[1]) / 1000 if match[2] == "ms" else float(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST_SECONDS:
        raise ValueError(f"{shorten(text)} is too long. Write 36500d or less.")
    return seconds


def format_duration(seconds: float) -> str:
    """A duration as `parse_duration` reads it, in the largest unit that needs no fraction: `90m`."""
    if seconds == 0:
        return "0s"
    for unit, length in _SECONDS.items():
        if seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    milliseconds = round(seconds * 1000)
    if milliseconds and milliseconds / 1000 == seconds:
        return f"{milliseconds}ms"
    return f"{Decimal(repr(seconds)):f}s"


def parse_size(text: str) -> int:
    """`text` (`25MiB`, `512KiB`, `10MB`, `1000`) in bytes.

    Raises:
        ValueError: It is not a whole number, alone or with one of these units.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _BYTES:
        raise ValueError(f"{shorten(text)} is not a size. Write 25MiB, 512KiB or a number of bytes.")
    return int(match[1]) * _BYTES[match[2].lower()]


@dataclasses.dataclass(frozen=True, slots=True)
class Rate:
    """So many in so long.

    Attributes:
        amount: How many, at least 1.
        seconds: The window's length.
    """

    amount: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.amount}/{format_duration(self.seconds)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `100/15m`.

        Raises:
            ValueError: It is not a whole number above 0, a slash, and a duration above 0.
        """
        match = _RATE.fullmatch(text.strip())
        try:
            seconds = parse_duration(match[2]) if match else 0.0
        except ValueError:
            match = None
        if match is None:
            raise ValueError(f"{shorten(text)} is not a rate. Write a number and a duration: 100/15m.")
        if int(match[1]) == 0 or seconds == 0:
            raise ValueError(f"{shorten(text)} would let nothing through. Write a rate such as 100/15m.")
        return cls(int(match[1]), seconds)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "examples": ["100/15m"]}

    @classmethod
    def _validate(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise ValueError(f"{shorten(value)} is not a rate. Write a number and a duration: 100/15m.")


def shorten(value: object) -> str:
    """A value as messages show it: text in quotes and never long, containers by their kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)[:60]
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "…")
    return "a list" if isinstance(value, list | tuple) else "a mapping"


def _duration(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    # A bare number is clear in Python, where the type says seconds, but not in a file (which has a context).
    if isinstance(value, int | float) and not isinstance(value, bool) and info.context is None:
        return value
    if value == 0 and not isinstance(value, bool):
        return 0.0
    raise ValueError(f"{shorten(value)} is not a duration. Write 30s, 15m or 6h.")


def _size(value: object) -> object:
    if isinstance(value, str):
        return parse_size(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"{shorten(value)} is not a size. Write 25MiB, 512KiB or a number of bytes.")


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "examples": ["30s", "15m", "6h"]}),
]
"""A duration in seconds, written `500ms`, `30s`, `15m`, `6h` or `1d`."""

Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema({"type": "string", "examples": ["25MiB", "512KiB"]}),
]
"""A size in bytes, written `25MiB`, `512KiB`, `10MB` or as a number of bytes."""
