"""Plugins that lend options to others: used where the file has none, and nowhere else."""

import textwrap
from pathlib import Path

import pytest

from distributions import Site
from tidings.config import load
from tidings.errors import ConfigError, PluginError
from tidings.plugins import Loaded, load_plugins

PLATFORM = """
class MineOptions(Options):
    client_id: str = ""
    url: str = "https://mine.example"

class MinePlugin(Plugin):
    options_model = MineOptions

    @hookimpl
    def tidings_connectors(self, context):
        return []
"""
LENDER = """
class LenderPlugin(Plugin):
    @hookimpl
    def tidings_option_defaults(self, server, configured):
        {body}
"""


def load_with(site: Site, body: str, connector: str = "mine:") -> Loaded:
    site.install(PLATFORM)
    source = LENDER.format(body=body)
    site.install(source, name="lender", distribution="zen", group="tidings.extras", target="LenderPlugin")
    text = f"""\
    server: {{port: 8123}}
    plugins:
      bus: {{still: }}
      strategies: {{}}
      connectors: {{{connector}}}
      extras: {{lender: }}
    """
    Path("config.yaml").write_text(textwrap.dedent(text))
    return load_plugins(load(Path("config.yaml"), {}))


def options(loaded: Loaded) -> dict[str, str]:
    (mine,) = [plugin for plugin in loaded.plugins if plugin.key == "connector/mine"]
    return mine.options.model_dump()


def test_a_lent_option_is_used_where_the_file_has_none(site: Site) -> None:
    body = "return {'connector/mine': {'client_id': f'lent-{server.port}'}}"
    assert options(load_with(site, body)) == {"client_id": "lent-8123", "url": "https://mine.example"}


def test_an_empty_value_counts_as_none(site: Site) -> None:
    loaded = load_with(site, "return {'connector/mine': {'client_id': 'lent'}}", "mine: {client_id: ''}")
    assert options(loaded)["client_id"] == "lent"


def test_what_the_file_says_wins(site: Site) -> None:
    body = "return {'connector/mine': {'client_id': 'lent', 'url': 'http://lent.example'}}"
    loaded = load_with(site, body, "mine: {client_id: own}")
    assert options(loaded) == {"client_id": "own", "url": "http://lent.example"}


def test_the_lender_sees_what_the_file_says(site: Site) -> None:
    body = "return {} if configured['connector/mine'].get('client_id') else {'connector/mine': {'url': 'x'}}"
    assert options(load_with(site, body, "mine: {client_id: own}"))["url"] == "https://mine.example"


def test_plugins_stay_in_the_order_of_the_file(site: Site) -> None:
    loaded = load_with(site, "return {}")
    assert [plugin.key for plugin in loaded.plugins] == ["bus/still", "connector/mine", "extra/lender"]


def test_a_lender_that_forbids_the_start_is_obeyed(site: Site) -> None:
    body = "from tidings.errors import ConfigError; raise ConfigError('not on a public address')"
    with pytest.raises(ConfigError, match="not on a public address"):
        load_with(site, body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return [1]", "tidings_option_defaults returned an instance of list, not options by plugin."),
        ("return {'connector/mine': 1}", "not options by plugin"),
        ("raise RuntimeError('oh')", "tidings_option_defaults raised RuntimeError: oh"),
    ],
)
def test_a_lender_that_fails_is_left_out_and_the_rest_runs(site: Site, body: str, reason: str) -> None:
    loaded = load_with(site, body)
    assert options(loaded)["client_id"] == ""
    (failure,) = loaded.failures
    assert failure.key == "extra/lender"
    assert reason in failure.reason


def test_a_wrong_lent_option_is_a_problem_of_the_connector(site: Site) -> None:
    with pytest.raises(PluginError, match=r"plugins\.connectors\.mine"):
        load_with(site, "return {'connector/mine': {'colour': 'blue'}}")
