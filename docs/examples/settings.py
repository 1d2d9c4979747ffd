"""The configuration, for tools and tests."""

import tempfile
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tidings.config import (
    Auth,
    Database,
    Forever,
    Jwt,
    Limit,
    Limits,
    Log,
    Network,
    Retention,
    Server,
    Settings,
    Unlimited,
    Whole,
    database_url,
    load,
)
from tidings.durations import Rate
from tidings.errors import ConfigError, PluginError


def read(text: str) -> Settings:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(text)
        return load(path, {})


def show_a_file() -> None:
    settings = read("server: {port: 9000}\nretention: {days: forever}\nlimits: {api: unlimited}\n")
    server: Server = settings.server
    limits: Limits = settings.limits
    retention: Retention = settings.retention
    auth: Auth = settings.auth
    log: Log = settings.log
    jwt: Jwt | None = auth.jwt
    assert (server.port, limits.api, retention.days, jwt) == (9000, None, None, None)
    assert settings.is_sqlite and log is settings.log


def show_what_is_wrong_with_a_file() -> None:
    try:
        read("server: {port: many}\n")
    except ConfigError as error:
        assert "config.yaml:1:16: server.port" in str(error)
        assert not isinstance(error, PluginError)  # which tells of a plugin that can't be found or built


def show_types_for_options() -> None:
    assert TypeAdapter(Network).validate_python("10.0.0.1").num_addresses == 1
    assert TypeAdapter(Limit).validate_python("100/15m") == Rate(100, 900.0)
    assert TypeAdapter(Limit).validate_python("unlimited") is None
    assert Unlimited is not Forever  # one word for none each
    try:
        TypeAdapter(Whole).validate_python(True)
    except ValidationError:
        pass
    else:
        raise AssertionError("true is no number")
    assert TypeAdapter(Database).validate_python("sqlite+aiosqlite:///x.db")
    assert database_url("sqlite+aiosqlite:////tmp/x.db").endswith("/tmp/x.db")
