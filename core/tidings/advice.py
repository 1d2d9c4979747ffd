"""What deserves a thought in a configuration that can be used as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import SecretStr

from tidings.config import Settings
from tidings.plugins import Loaded, LoadedPlugin

_SMALLEST_BODY_BYTES: Final = 1024
_SHORTEST_SECRET: Final = 16


def advice(settings: Settings, loaded: Loaded) -> Iterator[str]:
    """What looks like a mistake, and what to write instead; for `tidings check` and the log of a start."""
    most = settings.limits.max_body
    if most < _SMALLEST_BODY_BYTES:
        yield (
            f"limits.max_body is {most} bytes, so nearly every webhook is refused and lost. "
            f"Did you mean {most}MiB?"
        )
    for plugin in loaded.plugins:
        if plugin.choice.kind.section == "connectors":
            yield from _short_secrets(plugin)


def _short_secrets(connector: LoadedPlugin) -> Iterator[str]:
    """Complain of the options called `...secret`: whoever guesses one can send what looks like news."""
    choice = connector.choice
    for name, field in type(connector.options).model_fields.items():
        value = getattr(connector.options, name)
        if (
            name.endswith("secret")
            and isinstance(value, SecretStr)
            and len(value.get_secret_value()) < _SHORTEST_SECRET
        ):
            message = (
                f"this has fewer than {_SHORTEST_SECRET} characters, so it can be guessed. "
                "`openssl rand -hex 32` makes a better one."
            )
            yield choice.document.problem((*choice.path, field.alias or name), message).text
