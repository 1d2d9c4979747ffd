"""Secrets in options, and how to keep them out of everything that is shown."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import ipaddress
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, BeforeValidator, SecretBytes, SecretStr, ValidationInfo, WithJsonSchema
from pydantic import Secret as AnySecret

from tidings.durations import Rate

_MAX_BYTES: Final = 64 * 1024
# Looks the same wherever it stands.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
_SECRET_NAME = re.compile(r"secret|token|passw|passphrase|credential|(?:^|_)key$", re.IGNORECASE)
_OPEN_TYPES: Final = (
    str, int, float, bytes, enum.Enum, Path, Rate, datetime.date, datetime.time, datetime.timedelta,
    ipaddress.IPv4Network, ipaddress.IPv6Network, ipaddress.IPv4Address, ipaddress.IPv6Address,
    types.NoneType,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Where values come from while they are validated.

    Attributes:
        folder: What the path of a secret's file is relative to.
        read: The secrets read from files.
    """

    folder: Path
    read: list[str] = dataclasses.field(default_factory=list, repr=False)


def read_secret(value: object, info: ValidationInfo) -> object:
    """Validate before `SecretStr`: `{file: path}` becomes the file's text, blank text becomes None.

    Raises:
        ValueError: The file can't be read.
    """
    if isinstance(value, Mapping) and isinstance(info.context, Source):
        value = _read_file(value, info.context)
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    return None if isinstance(plain, str) and not plain.strip() else value


Secret = Annotated[
    SecretStr | None,
    BeforeValidator(read_secret),
    WithJsonSchema({"type": "string", "format": "password", "writeOnly": True}),
]
"""A secret: text, `{file: /run/secrets/name}`, or None where it is absent, empty or blank."""


def may_hold_secret(annotation: Any, name: str = "", seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a value of this type may be secret, or hold something that is. A type it doesn't know may.

    Args:
        annotation: The type.
        name: The key it stands under: text called `password` is taken as secret, whatever its type says.
        seen: The models looked at already.
    """
    origin = get_origin(annotation)
    if origin is not None and not (isinstance(origin, type) and issubclass(origin, AnySecret)):
        inner = () if origin is Literal else get_args(annotation)[: 1 if origin is Annotated else None]
        return any(may_hold_secret(item, name, seen) for item in inner if item is not ...)
    if not isinstance(annotation, type):
        return annotation is not None
    if issubclass(annotation, BaseModel):
        fields = {} if annotation in seen else annotation.model_fields
        return any(
            may_hold_secret(field.annotation, key, seen | {annotation}) for key, field in fields.items()
        )
    return not issubclass(annotation, _OPEN_TYPES) or (annotation is str and bool(_SECRET_NAME.search(name)))


def inner_types(annotation: Any, part: str | int) -> list[Any]:
    """The types that the part called `part` of a value of this type may have; empty where there is none."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return inner_types(arguments[0], part)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [
            field.annotation
            for name, field in annotation.model_fields.items()
            if part in {name, field.alias, field.validation_alias}
        ]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return [arguments[1]] if isinstance(part, str) else []
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return [inner for inner in arguments if inner is not ...] if isinstance(part, int) else []
    return [inner for argument in arguments for inner in inner_types(argument, part)]


def written_secrets(annotation: Any, value: object, name: str = "") -> Iterator[str]:
    """The texts in `value`, which is to become `annotation`, that are secret or might be."""
    if isinstance(value, Mapping):
        if set(value) == {"file"} and not inner_types(annotation, "file"):
            return  # where a secret is, not what
        for key, item in value.items():
            for choice in inner_types(annotation, key) or [Any]:
                yield from written_secrets(choice, item, str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for choice in inner_types(annotation, index) or [Any]:
                yield from written_secrets(choice, item, name)
    elif may_hold_secret(annotation, name) and value is not None and not isinstance(value, bool):
        yield str(value)


def held_secrets(value: object) -> Iterator[str]:
    """The secrets in validated options."""
    if isinstance(value, AnySecret | SecretStr | SecretBytes):
        secret = value.get_secret_value()
        yield secret.decode("utf-8", "replace") if isinstance(secret, bytes) else str(secret)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            item = getattr(value, name)
            if isinstance(item, str) and _SECRET_NAME.search(name):
                yield item
            yield from held_secrets(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from held_secrets(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from held_secrets(item)


def scrub(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret blacked out, also where it is escaped as in Python or in a URL.

    Those under four characters are left: they are in any text.
    """
    for secret in sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True):
        text = text.replace(secret, "[secret]")
        if not _PLAIN.fullmatch(secret):
            for form in {repr(secret)[1:-1], quote(secret, safe=""), quote_plus(secret)} - {secret}:
                text = text.replace(form, "[secret]")
    return text


def _read_file(value: Mapping[str, object], source: Source) -> str:
    file = value.get("file")
    if set(value) != {"file"} or not isinstance(file, str) or not file:
        raise ValueError("a secret is text, or {file: /path/to/it}. Write one of them.")
    path = source.folder / file
    try:
        with path.open("rb") as opened:
            raw = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(
            f"the secret's file {path} can't be read: {error.strerror}. Check the path and the file's mode."
        ) from None
    if len(raw) > _MAX_BYTES:
        raise ValueError(f"the secret's file {path} is larger than {_MAX_BYTES // 1024} KiB. Name another.")
    text = raw.decode("utf-8", "replace")
    if "\ufffd" in text or "\0" in text:
        raise ValueError(f"the secret's file {path} is not UTF-8 text. Write the secret as text.")
    text = text.removesuffix("\n").removesuffix("\r")
    source.read.append(text)
    return text
