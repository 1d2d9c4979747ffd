"""The JSON Schema of `config.yaml` takes what tidings takes, and refuses what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from commands import installed
from distributions import GOOD, Site
from tidings.choices import KINDS
from tidings.configschema import attributes, config_schema
from tidings.plugins import find_all

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = config_schema(find_all())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def problems(validator: Draft202012Validator, text: str) -> list[str]:
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_the_shipped_file_fits(validator: Draft202012Validator) -> None:
    assert problems(validator, (ROOT / "config.yaml").read_text("utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "plugins: {connectors: {github: {client_secret: {file: /run/secrets/x}}}}",
        "plugins: {connectors: {github: {poll_every: 6h, required: true}}}",
        "plugins: {connectors: {github: {app: {id: '1', slug: mine, private_key: {file: key.pem}}}}}",
        "plugins: {transports: {sse: , websocket: {heartbeat: 15s, messages: 120/1m}}}",
        "plugins: {extras: {sandbox: {lively: '${LIVELY:-false}'}}}",
        "limits: {api: unlimited, max_body: 25MiB}\nretention: {days: forever}",
        "server: {port: '${PORT:-8080}'}",
    ],
)
def test_what_tidings_takes_fits(validator: Draft202012Validator, text: str) -> None:
    assert problems(validator, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "serve: {port: 1}",
        "plugins: {connector: {github: {}}}",
        "plugins: {connectors: {gihtub: {}}}",
        "plugins: {connectors: {github: {client_sekret: x}}}",
        "plugins: {connectors: {github: {client_secret: {path: x}}}}",
        "plugins: {transports: {webpush: {urgency: soon}}}",
        "plugins: {connectors: [github]}",
    ],
)
def test_what_tidings_refuses_does_not_fit(validator: Draft202012Validator, text: str) -> None:
    assert problems(validator, text) != []


def test_every_option_says_what_it_is_for(validator: Draft202012Validator) -> None:
    silent = [
        f"{section}.{name}.{option}"
        for section, one in validator.schema["properties"]["plugins"]["properties"].items()
        for name, plugin in one["properties"].items()
        for option, about in plugin.get("properties", {}).items()
        if not about.get("description")
    ]
    assert silent == []
    assert set(validator.schema["properties"]["plugins"]["properties"]) == {kind.section for kind in KINDS}


def test_what_is_installed_besides_is_in_it_and_what_is_broken_says_so(site: Site) -> None:
    site.install(GOOD)
    site.install("1 / 0", name="broken", distribution="zenith")
    connectors = config_schema(find_all())["properties"]["plugins"]["properties"]["connectors"]["properties"]
    assert connectors["mine"]["description"] == "From acme 1.2."
    assert connectors["mine"]["additionalProperties"] is False
    assert "ZeroDivisionError" in connectors["broken"]["description"]
    assert "additionalProperties" not in connectors["broken"]


def test_the_command_prints_it(tmp_path: Path) -> None:
    printed: dict[str, Any] = json.loads(installed(tmp_path).done("schema"))
    assert printed["title"] == "tidings: config.yaml"
    assert "github" in printed["properties"]["plugins"]["properties"]["connectors"]["properties"]


def test_a_docstring_s_attributes_are_read() -> None:
    doc = """What.

    Attributes:
        one: First,
            and more.
        two: Second.

    Raises:
        three: No attribute.
    """
    assert attributes(doc) == {"one": "First, and more.", "two": "Second."}
