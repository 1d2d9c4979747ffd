"""`conformance.md` and `test-kit.md`: the suites of standard tests and what else tests stand on, from docstrings."""

from __future__ import annotations

import inspect
import sys
from typing import Final

from generator.markdown import prose, table
from generator.members import members_of

from tidings import testing
from tidings.testing import quality
from tidings.testing.suite import Suite
from tidings.testing.suites.plugin import PluginSuite

_INTRODUCTION: Final = """# Conformance

What a plugin must be stands in suites of standard tests, one a contract, in `tidings.testing`. How to use them: \
[test a plugin](../how-to/test-a-plugin.md). A test that a plugin can't pass stands in its `quality.yaml`, with the \
reason; `tidings plugins` and `tidings plugin check` show it.

"""


def conformance_page() -> str:
    """`conformance.md`."""
    suites = [one for name in testing.__all__ if isinstance(one := getattr(testing, name), type)]
    suites = [one for one in suites if issubclass(one, Suite) and one is not Suite]
    suites.sort(key=lambda one: (one is not PluginSuite, len(one.__mro__), one.__name__))
    return _INTRODUCTION + "".join(_section(suite) for suite in suites) + f"## quality.yaml\n\n{_quality()}"


def test_kit_page() -> str:
    """`test-kit.md`."""
    offered = [getattr(testing, name) for name in testing.__all__]
    tools = [
        one for one in offered if not (isinstance(one, type) and issubclass(one, Suite) and one is not Suite)
    ]
    return (
        "# Test kit\n\n`tidings.testing` is part of the package. How to use it: [test a plugin](../how-to/"
        "test-a-plugin.md). The suites of standard tests have a page of their own: [conformance](conformance.md).\n\n"
        + prose((testing.__doc__ or "").partition("\n")[2])
        + "\n## Names\n"
        + "".join(members_of(sys.modules[one.__module__], {one.__name__}) for one in tools)
    )


def _section(suite: type[Suite]) -> str:
    rows = [
        (f"`{rule}`", " ".join((inspect.getdoc(test) or "").split()))
        for rule, test in suite.rules().items()
        if any(hasattr(vars(suite).get(name), "rule") for name in (f"test_{rule.replace('-', '_')}",))
    ]
    bases = [base.__name__ for base in suite.__bases__ if base is not Suite]
    more = f"\nBesides, all of {', '.join(f'`{base}`' for base in bases)}.\n" if bases else ""
    return (
        f"## {suite.__name__}\n\n{prose(suite.__doc__ or '')}\n{table(('test', 'what holds'), rows)}{more}\n"
    )


def _quality() -> str:
    text = inspect.cleandoc(quality.__doc__ or "").partition("\n")[2].strip()
    said, _, example = text.partition(":\n\n")
    block, _, rest = example.partition("\n\n")
    return f"{said}:\n\n```text\n{inspect.cleandoc(block)}\n```\n\n{rest}\n"
