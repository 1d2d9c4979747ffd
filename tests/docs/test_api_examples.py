"""Each public name has an example, and the examples do what they say."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from generator import publicapi, usage

# Names that no plugin writes down.
_UNSHOWN = {
    "tidings.asgi.T": "a type variable of the functions beside it",
    "tidings.hooks.HookSpecs": "what it specifies is implemented under the names of its methods, and shown by those",
    "tidings.websub.IGNORED": "a status that `Subscriber` answers by itself",
}


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where pydantic looks names up
    spec.loader.exec_module(module)
    return module


def _shown() -> list[Any]:
    modules = [_load(path) for path in usage.EXAMPLES]
    return [
        pytest.param(work, id=f"{module.__name__}.{name}")
        for module in modules
        for name, work in vars(module).items()
        if name.startswith("show_")
    ]


@pytest.mark.parametrize("work", _shown())
async def test_an_example_does_what_it_says(work: Callable[[], Any]) -> None:
    done = work()
    if inspect.isawaitable(done):
        await done


def test_each_public_name_is_shown_somewhere() -> None:
    outermost = [
        name
        for name in publicapi.surface()
        if len(name.removeprefix("tidings.").removeprefix("testing.").split(".")) == 1
        or (name.split(".")[1] in publicapi.MODULES and name.count(".") == 2)
    ]
    unshown = {name for name in outermost if not publicapi.example_of(name)}
    assert unshown == set(_UNSHOWN), "Show them in docs/examples, or say above why not."


def test_the_examples_are_typed_as_strictly_as_the_product() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *map(str, usage.EXAMPLES)],
        cwd=usage.ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
