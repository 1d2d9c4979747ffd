"""A plugin, its options, and how durations, sizes and rates are written."""

from collections.abc import Iterable

from tidings import (
    API_VERSION,
    ConfigError,
    Connector,
    Context,
    Duration,
    Options,
    Plugin,
    Rate,
    Secret,
    Section,
    ServerAddress,
    Size,
    hookimpl,
)
from tidings.durations import format_duration, parse_duration, parse_size, shorten
from tidings.testing.bench import make_bench


class Quiet(Section):
    """A part of the options with keys of its own."""

    after: Duration = 3600.0


class DoorbellOptions(Options):
    """What stands under `plugins.connectors.doorbell`; an unknown key is an error."""

    webhook_secret: Secret | None = None  # never shown, and read from a file if wished
    poll_every: Duration = 900.0  # seconds here, `15m` there
    most_bytes: Size = 65_536  # `64KiB` there
    calls: Rate = Rate(100, 900)  # `100/15m` there
    quiet: Quiet = Quiet()


class Doorbell(Connector):
    platform = "doorbell"
    display_name = "Doorbell"


class DoorbellPlugin(Plugin):
    options_model = DoorbellOptions
    options: DoorbellOptions
    api_version = API_VERSION
    bugs = "https://example.org/doorbell/issues"

    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        context.log.info("offered", every_seconds=self.options.poll_every)
        return [Doorbell()]


def show_options_from_yaml() -> None:
    given = {"poll_every": "15m", "most_bytes": "64KiB", "calls": "100/15m", "webhook_secret": "hush"}
    options = DoorbellOptions.model_validate(given, context={})
    assert (options.poll_every, options.most_bytes, options.calls) == (900.0, 65_536, Rate(100, 900.0))
    assert "hush" not in repr(options)
    assert options.webhook_secret is not None and options.webhook_secret.get_secret_value() == "hush"


def show_a_hook() -> None:
    bench = make_bench("connector/doorbell")
    (connector,) = DoorbellPlugin(DoorbellOptions()).tidings_connectors(bench.context)
    assert connector.platform == "doorbell"


def show_units() -> None:
    assert (parse_duration("1.5h"), format_duration(5400)) == (5400.0, "90m")
    assert parse_size("25MiB") == 26_214_400
    assert str(Rate.parse("100/15m")) == "100/15m"
    assert shorten(["a", "b"]) == "a list"
    assert (
        str(ConfigError("config.yaml:3:5: soon is no duration.")) == "config.yaml:3:5: soon is no duration."
    )


def show_the_server_s_address() -> None:
    address = ServerAddress("127.0.0.1", 8080, "https://tidings.example.org")
    assert address.public_url == "https://tidings.example.org"
