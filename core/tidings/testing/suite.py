"""Suites of standard tests: what a plugin must be, as tests that every plugin of a kind passes.

Subclass the suite of your plugin's contract in a test module, set what it asks for, and pytest (or `tidings plugin
check`) runs all of its tests:

    class TestDoorbell(ReceivingSuite):
        plugin = "connector/doorbell"
        signature = "x-signature"

A standard test can't be replaced or removed by a subclass. A plugin that can't pass one says why, in its
`quality.yaml` (see `tidings.testing.quality`); the test is run all the same, so that a reason which holds no longer is
noticed.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import unittest
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final, NamedTuple, NoReturn, TypeVar

from tidings.testing.quality import FILE, exemptions

Check = Callable[[Any], Coroutine[Any, Any, None] | None]
SuiteClass = TypeVar("SuiteClass", bound="type[Suite]")

_KIT: Final = "tidings.testing."
_PATIENCE_SECONDS: Final = 120.0


class Violation(AssertionError):
    """A plugin breaks a rule of its contract; the text says which, and what to do."""


class Result(NamedTuple):
    """What came of one standard test.

    Attributes:
        rule: The test's name, as `quality.yaml` writes it: `refuses-what-is-stale`.
        outcome: `passed`, `failed`, or `exempt`.
        detail: Why it failed, or the reason of the exemption; "" where it passed.
    """

    rule: str
    outcome: str
    detail: str = ""


def require(fact: object, text: str) -> None:
    """Say that the plugin breaks a rule unless `fact` is so.

    Raises:
        Violation: It isn't.
    """
    if not fact:
        raise Violation(text)


def fail(text: str) -> NoReturn:
    """Say that the plugin breaks a rule.

    Raises:
        Violation: Always.
    """
    raise Violation(text)


def standard(check: Check) -> Callable[[Any], None]:
    """Make a method, async or not, a standard test. Its name begins with `test_`, its docstring is the rule."""

    @functools.wraps(check)
    def test(suite: Suite) -> None:
        suite.judge(check)

    test.rule = rule_of(check.__name__)  # type: ignore[attr-defined]  # functions may carry marks
    return test


def rule_of(name: str) -> str:
    """A test's name as `quality.yaml` writes it."""
    return name.removeprefix("test_").replace("_", "-")


class Suite:
    """Base of all suites.

    Attributes:
        plugin: The plugin's key: `connector/doorbell`.
    """

    plugin: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Refuse subclasses that replace standard tests.

        Raises:
            TypeError: This one does.
        """
        super().__init_subclass__()
        if cls.__module__.startswith(_KIT):
            return
        inherited = {name for base in cls.__mro__[1:] for name in vars(base) if _is_standard(base, name)}
        replaced = sorted(inherited & set(vars(cls)))
        if replaced:
            raise TypeError(
                f"{cls.__qualname__} replaces {', '.join(replaced)}, which every plugin must pass. Give the test "
                f"another name, or say under `exempt:` in {FILE} why {cls.plugin or 'the plugin'} can't pass it."
            )

    @classmethod
    def rules(cls) -> dict[str, Callable[[Any], None]]:
        """The standard tests by their rules, in the order of the source, those of bases first."""
        found = {}
        for base in reversed(cls.__mro__):
            for name in vars(base):
                if _is_standard(base, name):
                    found[rule_of(name)] = getattr(cls, name)
        return found

    @classmethod
    def exemptions(cls) -> Mapping[str, str]:
        """The plugin's exemptions, as its `quality.yaml` has them."""
        return exemptions(cls.plugin)

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Look, while a standard test runs, after what no test may see; of plugins, that they don't block the loop."""
        yield

    def judge(self, check: Check) -> None:
        """Run a standard test, and hold its outcome against the exemptions.

        Raises:
            Exception: It fails, and nothing exempts from it.
            Violation: It is passed, in spite of an exemption.
            unittest.SkipTest: It fails, as an exemption says.
        """
        rule = rule_of(check.__name__)
        reason = self.exemptions().get(rule, "")
        try:
            with self.attended():
                _run(check, self)
        except Exception as error:
            if reason:
                raise unittest.SkipTest(f"exempt: {reason}") from error
            raise
        if reason:
            fail(f"{self.plugin} passes {rule} now. Take it out of `exempt:` in {FILE}.")

    @standard
    def test_exempts_from_tests_that_there_are(self) -> None:
        """Exemptions name standard tests."""
        mine = set(self.rules())
        known = mine | {rule for suite in _all_suites(Suite) for rule in suite.rules()}
        unknown = sorted(set(self.exemptions()) - known)
        require(not unknown, f"{FILE} exempts from {', '.join(unknown)}, and there is no such test.")

    @classmethod
    def results(cls) -> Iterator[Result]:
        """Run all standard tests, without any test runner."""
        suite = cls()
        for rule, test in cls.rules().items():
            try:
                test(suite)
            except unittest.SkipTest as skipped:
                yield Result(rule, "exempt", str(skipped).removeprefix("exempt: "))
            except Exception as error:  # noqa: BLE001 - whatever a plugin under test raises is a result
                detail = str(error) if isinstance(error, Violation) else f"{type(error).__name__}: {error}"
                yield Result(rule, "failed", detail)
            else:
                yield Result(rule, "passed")


def _is_standard(base: type, name: str) -> bool:
    return hasattr(vars(base).get(name), "rule")


def _all_suites(suite: type[Suite]) -> Iterator[type[Suite]]:
    yield suite
    for inner in suite.__subclasses__():
        yield from _all_suites(inner)


def _run(check: Check, suite: Suite) -> None:
    outcome = check(suite)
    if inspect.iscoroutine(outcome):
        asyncio.run(_patiently(outcome))


async def _patiently(work: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await work
