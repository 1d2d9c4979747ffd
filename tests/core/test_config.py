"""What config.yaml means, and what its errors say."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.config import Rate, Settings, load
from tidings.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config.yaml"
CANARY = "hunter2-correct-horse"


def error_cases() -> list[tuple[str, str, list[str]]]:
    text = (Path(__file__).parent / "config_errors.txt").read_text("utf-8")
    cases = []
    for block in text.split("\n=== ")[1:]:
        name, *lines = block.splitlines()
        expected = [line[2:] for line in lines if line.startswith("> ")]
        file = "".join(f"{line}\n" for line in lines if not line.startswith("> "))
        cases.append((name, file, expected))
    return cases


ERROR_CASES = error_cases()


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(text: str, **environ: str) -> Settings:
    Path("config.yaml").write_text(text, "utf-8")
    return load(Path("config.yaml"), environ)


def problems(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(text, **environ)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"), [case[1:] for case in ERROR_CASES], ids=[c[0] for c in ERROR_CASES]
)
def test_an_error_says_where_what_and_what_to_do(text: str, expected: list[str]) -> None:
    assert expected == problems(text, WORD="eighty")


def test_there_are_cases_for_every_kind_of_mistake() -> None:
    assert len(ERROR_CASES) >= 60
    assert all(expected for _, _, expected in ERROR_CASES)


def test_a_control_character_is_named_by_its_number() -> None:
    assert problems('log: {}\nserver: {host: "a\x07"}\n') == [
        "config.yaml:2:18: the character U+0007 can't stand in YAML. Remove it."
    ]


def test_the_file_is_called_what_the_user_called_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/t.yaml").write_text("x: 1\n")
    with pytest.raises(ConfigError, match=r"^etc/t\.yaml:1:1: no key named 'x'\."):
        load(Path("etc/t.yaml"), {})


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda path: None,
            "c.yaml: there is no such file. Write one, or name another with --config FILE.",
        ),
        (lambda path: path.mkdir(), "c.yaml: this is a folder. Name the file in it."),
        (
            lambda path: path.write_bytes(b"log: {}\nserver: {host: \xff}\n"),
            "c.yaml:2:16: this byte is not UTF-8. Save the file as UTF-8.",
        ),
        (
            lambda path: path.write_text("server: {}\n", "utf-16"),
            "c.yaml:1:1: this byte is not UTF-8. Save the file as UTF-8.",
        ),
        (
            lambda path: path.write_bytes(b"#" * 300_000),
            "c.yaml: the file is larger than 256 KiB. Is it a configuration?",
        ),
    ],
    ids=["missing", "folder", "not UTF-8", "UTF-16", "huge"],
)
def test_a_file_that_cannot_be_read_is_an_error_that_says_why(make, expected) -> None:
    make(Path("c.yaml"))
    with pytest.raises(ConfigError) as caught:
        load(Path("c.yaml"), {})
    assert expected == str(caught.value)


def test_a_file_that_may_not_be_read_is_an_error_that_says_why() -> None:
    Path("c.yaml").symlink_to("c.yaml")  # root may read everything, but not a loop
    with pytest.raises(ConfigError, match=r"^c\.yaml: the file can't be read: Too many levels"):
        load(Path("c.yaml"), {})


words = st.sampled_from(
    [
        "server",
        "port",
        "auth",
        "jwt",
        "secret",
        "plugins",
        "connectors",
        "github",
        "limits",
        "api",
        "database",
    ]
)
scraps = st.one_of(
    words,
    words.map(lambda word: f"\n{word}: "),
    words.map(lambda word: f"\n  {word}: "),
    st.sampled_from([*"{}[]:,#&*!|>'\"%@`- \n\t", "${A}", "${", "$$", "<<", "\n- ", "? ", "---", "100/15m"]),
    st.text(max_size=5),
)


@given(st.one_of(st.text(), st.lists(scraps, max_size=30).map("".join)))
def test_no_text_raises_anything_but_a_config_error(tmp_path_factory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert isinstance(load(path, {"A": ": {"}), Settings)
    except ConfigError as error:
        assert error.problems
        assert all(problem.startswith(f"{path}:") for problem in error.problems)


# --- secrets ----------------------------------------------------------------------------------------------

LEAKS = [
    "auth: {{scrape_token: {0} {0}}}",
    "auth: {{scrape_token: [{0}]}}",
    "auth: {{scrape_token: {{fil: {0}}}}}",
    "auth: {{scrape_token: {{file: {{a: {0}}}}}}}",
    "auth: {{scrape_token: 'a\n{0}é'}}",
    "auth: {{jwt: {0}}}",
    "auth: {{jwt: [{0}]}}",
    "auth: {0}",
    "auth: [{0}]",
    "auth: {{jwt: {{secret: {0}}}}}",
    "auth: {{jwt: {{secret: {0}, issuer: [], audience: {{}}}}}}",
    "auth: {{jwt: {{secret: [{0}, {0}], issuer: 1, audience: a}}}}",
    "auth: {{scrape_token: *{0}}}",
    "auth: {{scrape_token: !{0} x}}",
    "auth: {{scrape_token: !{0}!a x}}",
    "auth: {{scrape_token: &{0} x, jwt: &{0} y}}",
    'auth: {{scrape_token: "{0}\\d"}}',
    "auth: {{scrape_token: '{0}}}",
    "auth:\n  scrape_token: {0}: {0}",
    "auth:\n  scrape_token: %{0}",
    "auth:\n  scrape_token: |{0}",
    "auth:\n  scrape_token: ${{1{0}}}",
    "auth:\n  scrape_token: ${{UNSET:-{0}${{}}",
    "%{0} x\n---\nauth: {{}}",
    "database: postgresql://me:{0}@db/tidings",
    "database: me:{0}@db",
    "server: {{public_url: 'https://me:{0}@example.org'}}",
    "plugins: {{connectors: {{github: {0}}}}}",
    "plugins: {{connectors: {0}}}",
    "plugins: {0}",
    "plugins: {{connectors: {{github: {{required: {0}}}}}}}",
]


@pytest.mark.parametrize("template", LEAKS)
@pytest.mark.parametrize("from_environment", [False, True], ids=["written", "environment"])
def test_a_secret_never_stands_in_an_error(template: str, *, from_environment: bool) -> None:
    text = template.format("${SECRET}" if from_environment else CANARY) + "\nlimits: {api: x}\n"
    with pytest.raises(ConfigError) as caught:
        settings(text, SECRET=CANARY)
    assert CANARY not in str(caught.value)
    cause: BaseException | None = caught.value
    while cause is not None:  # nor in what a traceback would show
        assert CANARY not in str(cause)
        cause = cause.__cause__ or cause.__context__


def test_a_secret_never_stands_in_the_repr_of_settings() -> None:
    loaded = settings(
        f"auth: {{scrape_token: {CANARY}}}\nplugins: {{connectors: {{x: {{key: {CANARY}}}}}}}\n"
    )
    assert CANARY not in repr(loaded) + str(loaded) + repr(loaded.plugins[0].document)
    assert loaded.auth.scrape_token is not None
    assert loaded.auth.scrape_token.get_secret_value() == CANARY


def test_a_secret_can_come_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "deep").mkdir()
    Path("deep/config.yaml").write_text("auth: {scrape_token: {file: ../token}}\n")
    loaded = load(Path("deep/config.yaml"), {})
    assert loaded.auth.scrape_token is not None
    assert loaded.auth.scrape_token.get_secret_value() == "abc"


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (b"\xff\xfe", "is not UTF-8 text. Write the secret as text."),
        (b"x" * 70_000, "is larger than 64 KiB. Name another."),
    ],
)
def test_a_secret_file_that_holds_no_text_is_an_error(tmp_path: Path, contents: bytes, expected: str) -> None:
    (tmp_path / "token").write_bytes(contents)
    (problem,) = problems("auth: {scrape_token: {file: token}}\n")
    assert problem == (
        f"config.yaml:1:22: auth.scrape_token: the secret's file {tmp_path / 'token'} {expected}"
    )


def test_a_secret_from_a_file_never_stands_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{CANARY} {CANARY}\n")
    (problem,) = problems("auth: {scrape_token: {file: token}}\n")
    assert CANARY not in problem


@pytest.mark.parametrize("blank", ["", '""', '"  "', "null", "${NOTHING:-}", "{file: blank}"])
def test_a_blank_secret_is_an_absent_one(tmp_path: Path, blank: str) -> None:
    (tmp_path / "blank").write_text(" \n")
    assert settings(f"auth:\n  scrape_token: {blank}\n").auth.scrape_token is None


def test_a_secret_in_digits_keeps_every_digit() -> None:
    token = settings("auth: {scrape_token: 10.10}\n").auth.scrape_token
    assert token is not None
    assert token.get_secret_value() == "10.10"


# --- what is accepted -------------------------------------------------------------------------------------


def test_the_shipped_file_needs_nothing_in_the_environment_and_says_the_defaults() -> None:
    loaded = load(SHIPPED, {})
    assert [choice.key for choice in loaded.plugins] == [
        "connector/github",
        "connector/gmail",
        "connector/slack",
        "connector/calendar",
        "connector/youtube",
        "connector/discord",
        "connector/spotify",
        "strategy/webhook",
        "strategy/polling",
        "transport/sse",
        "transport/websocket",
        "transport/webpush",
        "bus/local",
        "extra/dashboard",
        "extra/sandbox",
    ]
    assert loaded.plugins[0].options == {
        "webhook_secret": None,
        "client_id": None,
        "client_secret": None,
    }
    defaults = Settings(database=loaded.database)
    defaults._folder = SHIPPED.parent
    assert loaded.model_copy(update={"plugins": ()}) == defaults
    assert loaded.database_path == SHIPPED.parent / "tidings.db"


def test_with_postgresql_the_keys_lie_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("database: postgresql+asyncpg://me:canary@db/tidings\n")
    loaded = load(path, {})
    assert not loaded.is_sqlite
    assert loaded.database_path.parent == tmp_path


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert problems("database: postgresql+asyncpg://me:canary@db/tidings\n") == [
        "config.yaml:1:11: database: PostgreSQL needs its driver. Run: pip install 'tidings[cluster]'."
    ]


def test_every_key_is_in_the_shipped_file_and_works_when_its_comment_sign_is_removed() -> None:
    text = re.sub(r"^( +)# ( *[a-z_]+:( .*)?)$", r"\1\2", SHIPPED.read_text("utf-8"), flags=re.MULTILINE)
    text = text.replace("\n    local: {}", "")  # there is one bus
    loaded = settings(text, TIDINGS_JWT_SECRET="x" * 32, TIDINGS_SCRAPE_TOKEN="y", TIDINGS_NATS_PASSWORD="z")
    for name in Settings.model_fields.keys() - {"database", "database_api", "plugins"}:
        section = getattr(loaded, name)
        assert section.model_fields_set == set(type(section).model_fields), name
    assert loaded.auth.jwt is not None
    assert loaded.auth.jwt.model_fields_set == set(type(loaded.auth.jwt).model_fields)


@pytest.mark.parametrize("text", ["{}", "server:\nlimits:\nauth:\n  jwt:\nplugins:\n  connectors:\n  bus:\n"])
def test_an_empty_section_has_its_defaults(text: str) -> None:
    loaded = settings(text)
    assert loaded == Settings(database=loaded.database, plugins=loaded.plugins)
    assert {choice.key for choice in loaded.plugins} == {
        "strategy/webhook",
        "strategy/polling",
        "bus/local",
    }


def test_no_strategy_at_all_can_be_chosen_but_there_is_always_a_bus() -> None:
    loaded = settings("plugins: {strategies: {}, bus: {}}")
    assert [choice.key for choice in loaded.plugins] == ["bus/local"]


@pytest.mark.parametrize("word", ["unlimited", "Unlimited", "null", "", "~"])
def test_a_limit_can_be_unlimited(word: str) -> None:
    keys = ["api", "sessions", "webhooks", "webhooks_per_registration", "streams"]
    limits = settings("limits:\n" + "".join(f"  {key}: {word}\n" for key in keys)).limits
    assert [getattr(limits, key) for key in keys] == [None] * 5


def test_limits_are_read() -> None:
    limits = settings("limits: {api: 5/1s, max_body: 512KiB, streams: 3}\n").limits
    assert (limits.api, limits.max_body, limits.streams) == (Rate(5, 1.0), 512 * 1024, 3)


@pytest.mark.parametrize("word", ["forever", "null", ""])
def test_retention_can_be_forever(word: str) -> None:
    retention = settings(f"retention:\n  days: {word}\n  events_per_user: {word}\n").retention
    assert (retention.days, retention.events_per_user) == (None, None)


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("{}", "http://127.0.0.1:8080"),
        ("{host: 0.0.0.0, port: 80}", "http://127.0.0.1:80"),
        ('{host: "::", port: 80}', "http://[::1]:80"),
        ('{host: "2001:db8::1"}', "http://[2001:db8::1]:8080"),
        ("{host: my.host}", "http://my.host:8080"),
        ("{public_url: https://example.org/}", "https://example.org"),
        ("{public_url: http://example.org:81//}", "http://example.org:81"),
        ('{public_url: " "}', "http://127.0.0.1:8080"),
        ("{public_url: }", "http://127.0.0.1:8080"),
    ],
)
def test_the_public_url_is_stated_or_follows_from_host_and_port(server: str, expected: str) -> None:
    assert settings(f"server: {server}\n").server.public_url == expected


def test_another_port_moves_a_derived_public_url_but_not_a_stated_one() -> None:
    derived = settings("server: {host: 127.0.0.2}\n").listening_on(port=9)
    assert (derived.server.host, derived.server.public_url) == ("127.0.0.2", "http://127.0.0.2:9")
    stated = settings("server: {public_url: https://a.example}\n").listening_on(host="::1", port=9)
    assert (stated.server.host, stated.server.port) == ("::1", 9)
    assert stated.server.public_url == "https://a.example"


def test_another_host_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="'x y' is not an address"):
        settings("{}").listening_on(host="x y")


def test_origins_are_as_browsers_send_them() -> None:
    text = "server: {allowed_origins: [https://App.example.org/, 'http://a:80', 'http://a:81', 'https://[::1]:2']}"
    assert settings(text).server.allowed_origins == (
        "https://app.example.org",
        "http://a",
        "http://a:81",
        "https://[::1]:2",
    )


def test_trusted_proxies_are_addresses_and_networks() -> None:
    text = 'server: {trusted_proxies: [10.0.0.0/8, 192.0.2.1, "::1"]}'
    expected = (ip_network("10.0.0.0/8"), ip_network("192.0.2.1"), ip_network("::1"))
    assert settings(text).server.trusted_proxies == expected


def test_a_relative_database_lies_in_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/t.yaml").write_text("database: sqlite+aiosqlite:///../var/t.db\n")
    loaded = load(Path("etc/t.yaml"), {})
    assert loaded.database == f"sqlite+aiosqlite:///{tmp_path}/var/t.db"
    assert loaded.database_path == tmp_path / "var/t.db"


def test_an_absolute_database_stays_where_it_is() -> None:
    assert settings("database: sqlite+aiosqlite:////srv/t.db").database == "sqlite+aiosqlite:////srv/t.db"


def test_the_database_is_beside_the_file_by_default(tmp_path: Path) -> None:
    assert settings("{}").database_path == tmp_path / "tidings.db"


@pytest.mark.parametrize("word", ["true", "True", "yes", "on", '"true"', "${FLAG}"])
def test_booleans_are_what_people_write_for_them(word: str) -> None:
    jwt = settings(
        f"auth:\n  jwt:\n    secret: {'x' * 32}\n    issuer: i\n    audience: 7\n    create_users: {word}\n",
        FLAG="1",
    ).auth.jwt
    assert jwt is not None
    assert jwt.create_users is True
    assert jwt.audience == "7"


def test_plugins_are_kept_as_written_in_the_order_of_the_file() -> None:
    text = """
plugins:
  extras: {b: {x: [1, no, 1:30]}, a: }
  connectors:
    github: {required: yes, webhook_secret: "${SECRET}"}
"""
    choices = settings(text, SECRET="s: #").plugins
    assert [(choice.key, choice.required) for choice in choices] == [
        ("extra/b", False),
        ("extra/a", False),
        ("connector/github", True),
        ("strategy/webhook", False),
        ("strategy/polling", False),
        ("bus/local", True),
    ]
    assert choices[0].options == {"x": [1, "no", "1:30"]}
    assert choices[2].options == {"webhook_secret": "s: #"}


def test_settings_describe_every_key_for_the_reference() -> None:
    schema = Settings.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    assert [
        key
        for section in sections
        for key, item in section["properties"].items()
        if "description" not in item and "$ref" not in item
    ] == []
