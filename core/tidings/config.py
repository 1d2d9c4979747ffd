"""`config.yaml` as settings.

`load` reads the file without importing a plugin: what stands under a plugin's name is kept as written, and is
validated by the plugin's own model in `tidings.plugins`.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PrivateAttr,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from tidings import addresses, yamlfile
from tidings.choices import KINDS, Kind, PluginChoice, choices_in
from tidings.durations import Duration, Rate, Size
from tidings.errors import ConfigError
from tidings.secret import Secret, Source, read_secret
from tidings.validation import validate

__all__ = [
    "KINDS", "Auth", "Duration", "Jwt", "Kind", "Limits", "Log", "PluginChoice", "Rate", "Retention",
    "Secret", "Server", "Settings", "Size", "database_url", "load",
]  # fmt: skip


_POSTGRES: Final = "postgresql+asyncpg"
_POSTGRES_USAGE: Final = f"{_POSTGRES}://LOGIN:PASSWORD@HOST/DATABASE."

# --- values -------------------------------------------------------------------------------------------------


def _word_for_none(word: str) -> BeforeValidator:
    return BeforeValidator(
        lambda value: None if isinstance(value, str) and value.strip().lower() == word else value
    )


def _no_truth(value: object) -> object:
    if isinstance(value, bool):  # Python takes true for 1
        raise ValueError(f"{str(value).lower()} is not a whole number. Write it in digits, such as 10.")
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _database(url: str, info: ValidationInfo) -> str:
    scheme, separator, rest = url.partition("://")
    usage = "Write sqlite+aiosqlite:///tidings.db."
    if scheme == _POSTGRES:
        return _postgres(url)
    if not separator or not re.fullmatch(r"[a-z0-9+._-]{1,40}", scheme):
        raise ValueError(f"this is not a database URL. {usage}")  # it may hold a password, so it isn't shown
    if scheme != "sqlite+aiosqlite":
        raise ValueError(
            f"{scheme!r} is not a database that this version supports. {usage[:-1]}, or {_POSTGRES_USAGE}"
        )
    path = rest.removeprefix("/")
    if path in {"", ":memory:"} or ":memory:" in path or "mode=memory" in path:
        raise ValueError(f"a database in memory would lose every event at a restart. {usage}")
    if path == rest:
        raise ValueError(f"three slashes begin a path relative to this file, four an absolute one. {usage}")
    folder = info.context.folder if isinstance(info.context, Source) else Path.cwd()
    full = os.path.normpath(folder / path)
    if "?" in full:
        raise ValueError(f"the path of the database can't have a question mark. {usage}")
    if path.endswith("/") or Path(full).is_dir():
        raise ValueError(
            f"this is a folder. Name a file in it: sqlite+aiosqlite:///{path.rstrip('/')}/tidings.db."
        )
    return f"sqlite+aiosqlite:///{full}"


def _postgres(url: str) -> str:
    usage = f"Write {_POSTGRES_USAGE}"
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(f"this is not a database URL. {usage}") from None
    if parts.get_backend_name() != "postgresql" or not parts.database or not parts.username:
        raise ValueError(f"the login or the database is missing. {usage}")
    if importlib.util.find_spec("asyncpg") is None:
        raise ValueError("PostgreSQL needs its driver. Run: pip install 'tidings[cluster]'.")
    return url


def _postgres_only(url: SecretStr | None) -> SecretStr | None:
    if url is not None:
        if not url.get_secret_value().startswith(f"{_POSTGRES}://"):
            raise ValueError(f"this is not a URL of PostgreSQL. Write {_POSTGRES_USAGE}")
        _postgres(url.get_secret_value())
    return url


def _signing_secret(secret: SecretStr | None) -> SecretStr | None:
    if secret is None:
        return None
    if "-----BEGIN" in secret.get_secret_value():
        # Were a public key taken for a secret, everybody who has it could sign.
        raise ValueError("this is a key in PEM, not a secret. Write algorithm: RS256, and it as public_key.")
    length = len(secret.get_secret_value().encode())
    if length < 32:
        raise ValueError(
            f"the secret has {length} bytes; under 32 it can be guessed from one token (RFC 7518 §3.2). "
            "`openssl rand -hex 32` makes one."
        )
    return secret


def _rsa_public_key(text: str | None) -> str | None:
    if text is None:
        return None
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only where it is configured
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415 - likewise
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - likewise

    if "PRIVATE" in text:
        raise ValueError("this is a private key, which only the application may have. Write its public half.")
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < 2048:
        raise ValueError(
            "this is no public RSA key in PEM of 2048 bits or more. `openssl rsa -pubout` writes one; it begins with "
            "-----BEGIN PUBLIC KEY-----."
        )
    return text


def _keys_url(url: str | None) -> str | None:
    if url is None or not url.strip():
        return None
    parts = urlsplit(addresses.web_address(url))
    if parts.scheme != "https" and not addresses.is_loopback(parts.hostname or ""):
        raise ValueError(
            "keys that are read without TLS could be anybody's. Write an address that begins with https://."
        )
    return url


def _header_token(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None and not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
        raise ValueError("a token goes into a header: it can only have ASCII characters, without blanks.")
    return secret


def _stated(text: str) -> str:
    if not text.strip():
        raise ValueError("this is blank. Write a value.")
    return text


Unlimited = _word_for_none("unlimited")
Forever = _word_for_none("forever")
Whole = Annotated[int, BeforeValidator(_no_truth)]
Limit = Annotated[Rate | None, Unlimited]
Database = Annotated[str, AfterValidator(_database)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(addresses.network)]


# --- sections -----------------------------------------------------------------------------------------------


class Section(BaseModel):
    """A mapping in the file. Left empty, it has its defaults."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, value: object) -> object:
        return {} if value is None else value


class Server(Section):
    """Where tidings listens, and what it believes about who calls."""

    host: Annotated[str, AfterValidator(addresses.listening_host)] = "127.0.0.1"
    """The address to listen on. 0.0.0.0 is every address of this machine."""
    port: Annotated[Whole, Field(ge=0, le=65535)] = 8080
    """The port to listen on. 0 takes any free one."""
    public_url: Annotated[str, AfterValidator(addresses.public_url)] = Field(
        default_factory=addresses.derived_url,
        validate_default=False,  # as derived it may have port 0, until the real one is known
    )
    """Where browsers and platforms reach tidings. Default: http://, host and port."""
    allowed_origins: tuple[Annotated[str, AfterValidator(addresses.allowed_origin)], ...] = ()
    """Origins of other web pages that may call the API."""
    trusted_proxies: tuple[Network, ...] = ()
    """Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    leave_after: Duration = 0.0
    """How long requests are still taken after the order to stop, while /api/health/ready says to send no more."""

    @property
    def local_url(self) -> str:
        """Where this machine itself reaches the server, with no proxy between."""
        return addresses.derived_url({"host": self.host, "port": self.port})

    @model_validator(mode="before")
    @classmethod
    def _blank_url_is_derived(cls, value: object) -> object:
        if isinstance(value, Mapping) and not str(value.get("public_url") or "").strip():
            return {key: item for key, item in value.items() if key != "public_url"}
        return value


class Limits(Section):
    """How much is too much. A rate can be `unlimited`."""

    api: Limit = Rate(100, 900.0)
    """API requests of each API token or JWT."""
    sessions: Limit = Rate(1000, 900.0)
    """API requests of each browser session."""
    webhooks: Limit = Rate(1000, 900.0)
    """Webhooks that fail verification, from each address."""
    webhooks_per_registration: Limit = None
    """Webhooks that pass verification, of each registration. A limit here loses news."""
    max_body: Annotated[Size, Field(gt=0)] = 25 * 1024 * 1024
    """The largest request body."""
    streams: Annotated[Annotated[Whole, Field(ge=1)] | None, Unlimited] = None
    """Open streams of each user at each node."""


class Retention(Section):
    """How long events are kept. Each can be `forever`."""

    days: Annotated[Annotated[Whole, Field(ge=1, le=36500)] | None, Forever] = 365
    """Days that an event is kept."""
    events_per_user: Annotated[Annotated[Whole, Field(ge=1)] | None, Forever] = 1_000_000
    """Events kept of each user; the oldest go first."""


class Jwt(Section):
    """Tokens signed by an application that embeds tidings."""

    algorithm: Literal["HS256", "RS256"] = "HS256"
    """The one algorithm accepted."""
    secret: Annotated[Secret, AfterValidator(_signing_secret)] = None
    """With HS256: what the application signs with, 32 bytes or more."""
    public_key: Annotated[str | None, BeforeValidator(read_secret), AfterValidator(_rsa_public_key)] = None
    """With RS256: the public half of what it signs with, as PEM."""
    jwks_url: Annotated[str | None, AfterValidator(_keys_url)] = None
    """With RS256, instead: where it publishes its keys (RFC 7517). New ones are found by themselves."""
    issuer: Annotated[str, AfterValidator(_stated)]
    """The token's `iss`."""
    audience: Annotated[str, AfterValidator(_stated)]
    """The token's `aud`."""
    create_users: bool = False
    """Whether an unknown `sub` becomes a user."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        named = [name for name in ("secret", "public_key", "jwks_url") if getattr(self, name) is not None]
        if self.algorithm == "HS256" and named != ["secret"]:
            raise ValueError(
                "HS256 needs a secret, and neither public_key nor jwks_url: those are for algorithm: RS256."
            )
        if self.algorithm == "RS256" and named not in (["public_key"], ["jwks_url"]):
            raise ValueError("RS256 needs one of public_key and jwks_url, and no secret.")
        return self


class Auth(Section):
    """Ways in, beside login links and API tokens."""

    jwt: Jwt | None = None
    """Tokens signed by an application that embeds tidings."""
    scrape_token: Annotated[Secret, AfterValidator(_header_token)] = None
    """A token that may read /metrics and /openapi.json, and nothing else."""


class Log(Section):
    """What the log looks like."""

    format: Annotated[Literal["console", "json"], BeforeValidator(_lower)] = "console"
    """`console` for people, `json` for programs."""
    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    """The least severe lines to write."""


class Settings(Section):
    """All of `config.yaml`."""

    server: Server = Server()
    """Where tidings listens."""
    database: Database = "sqlite+aiosqlite:///tidings.db"
    """Where events live. A path with three slashes is relative to the file; `postgresql+asyncpg://…` is PostgreSQL,
    for several nodes."""
    database_api: Annotated[Secret, AfterValidator(_postgres_only)] = None
    """The login to the same PostgreSQL that reads on people's behalf, as a URL; by default tidings makes one."""
    limits: Limits = Limits()
    """How much is too much."""
    retention: Retention = Retention()
    """How long events are kept."""
    auth: Auth = Auth()
    """Ways in, beside login links and API tokens."""
    log: Log = Log()
    """What the log looks like."""
    plugins: SkipJsonSchema[tuple[InstanceOf[PluginChoice], ...]] = ()
    """The plugins named, in the order of the file."""
    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @property
    def database_path(self) -> Path:
        """The file of the SQLite database; keys lie beside it. With PostgreSQL they lie beside `config.yaml`."""
        if self.is_sqlite:
            return Path(self.database.removeprefix("sqlite+aiosqlite:///"))
        return self._folder / "tidings.db"

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file, which one server has for itself."""
        return self.database.startswith("sqlite")

    def listening_on(self, *, host: str | None = None, port: int | None = None) -> Self:
        """The same settings at another address; a `public_url` that was derived follows.

        Raises:
            ConfigError: The host is not an address.
        """
        stated = {name: getattr(self.server, name) for name in self.server.model_fields_set}
        asked = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
        try:
            return self.model_copy(update={"server": Server.model_validate(stated | asked)})
        except ValidationError as error:
            problems = [
                f"server.{item['loc'][0]}: {item['msg'].removeprefix('Value error, ')}"
                for item in error.errors()
                if item["type"] != "default_factory_not_called"  # only follows from another
            ]
        raise ConfigError(*problems)


# --- loading ------------------------------------------------------------------------------------------------


def database_url(text: str) -> str:
    """A database's URL as `database` takes it, given apart from a file; paths are relative to the present folder.

    Raises:
        ConfigError: It is none.
    """
    try:
        return TypeAdapter(Database).validate_python(text)
    except ValidationError as error:
        raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the configuration at `path`, with variables from `environ`. No plugin is imported.

    Raises:
        ConfigError: Something in it is wrong; it holds every problem found.
    """
    document = yamlfile.load(path, environ)
    choices, problems = choices_in(document)
    sections = {key: value for key, value in document.value.items() if key != "plugins"}
    settings, more = validate(Settings, document, (), sections)
    problems = [*document.problems, *problems, *more]
    if problems or settings is None:
        yamlfile.fail(problems)
    settings = settings.model_copy(update={"plugins": tuple(choices)})
    settings._folder = path.parent.absolute()
    return settings
