"""Everything that is deprecated, in one place: what to use instead, and the version that removes it.

A name stays for at least one minor version and one version of the plugin API after it came here. Using it warns with
`TidingsDeprecationWarning`; once it is removed, asking for it says what to use instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Final, NamedTuple


class TidingsDeprecationWarning(DeprecationWarning):
    """A public name goes away."""


class Deprecation(NamedTuple):
    """What becomes of a public name of `tidings`.

    Attributes:
        since: The version that deprecated it.
        removed_in: The version that removes it.
        instead: What to use: `tidings.Polls`; a name of the package `tidings`.
    """

    since: str
    removed_in: str
    instead: str


#: By the name that goes away.
DEPRECATIONS: Final[Mapping[str, Deprecation]] = {}


def replacement(name: str, deprecations: Mapping[str, Deprecation] = DEPRECATIONS) -> str | None:
    """The name that stands in for a deprecated one, which is warned of; None where it is not deprecated."""
    found = deprecations.get(name)
    if found is None:
        return None
    warnings.warn(
        f"tidings.{name} is deprecated since {found.since} and goes away in {found.removed_in}. "
        f"Use tidings.{found.instead} instead.",
        TidingsDeprecationWarning,
        stacklevel=3,
    )
    return found.instead
