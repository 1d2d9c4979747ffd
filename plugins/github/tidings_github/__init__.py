"""GitHub for tidings: what happens in repositories, organisations and apps, by webhook."""

from __future__ import annotations

from collections.abc import Iterable

from tidings.config import Secret
from tidings.context import Context
from tidings.contracts import Connector, Keys
from tidings.hooks import Options, Plugin, hookimpl
from tidings_github.connector import GitHubConnector


class GitHubOptions(Options):
    """What stands under `plugins.connectors.github`.

    Attributes:
        webhook_secret: Verifies deliveries to users without a registration of their own.
    """

    webhook_secret: Secret = None


class GitHubPlugin(Plugin):
    """Offers the GitHub connector."""

    options_model = GitHubOptions

    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        """Return the one connector, with the operator's key if there is one."""
        assert isinstance(self.options, GitHubOptions)
        secret = self.options.webhook_secret
        return (GitHubConnector(Keys((secret.get_secret_value().encode(),) if secret else ())),)
