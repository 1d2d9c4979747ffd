"""Follows RSS and Atom feeds: by WebSub where a feed has a hub, and by asking elsewhere."""

from collections.abc import Iterable

from tidings import Connector, Context, Duration, Options, Plugin, hookimpl
from tidings_rss.connector import Rss


class RssOptions(Options):
    """Options of the connector `rss`.

    Attributes:
        poll_every: How often to ask where no hub tells.
        allow_private: Follow feeds on this machine and in its network, too.
    """

    poll_every: Duration = 3600.0
    allow_private: bool = False


class RssPlugin(Plugin):
    """Offers the connector."""

    options_model = RssOptions
    options: RssOptions

    @hookimpl
    def tidings_connectors(self, context: Context) -> Iterable[Connector]:
        """The one connector."""
        http = context.http if self.options.allow_private else context.internet
        return [Rss(http, self.options.poll_every, allow_private=self.options.allow_private)]
