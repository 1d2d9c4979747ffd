"""The web page: a live view of one's own feed, made of static files over the public API.

Nothing here is secret and nothing here knows who asks: the page itself asks `/api/me`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from starlette.routing import BaseRoute, Route

from tidings.context import Context
from tidings.contracts import Extra
from tidings.hooks import Plugin, hookimpl
from tidings_dashboard.assets import load

__all__ = ["DashboardExtra", "DashboardPlugin"]


class DashboardExtra(Extra):
    """Serves the page at `/`, its parts under `/static/dashboard/` and its service worker at `/sw.js`."""

    def routes(self) -> Sequence[BaseRoute]:
        """One route per file, read from the package now, so that a request touches memory alone."""
        return [Route(asset.path, asset.respond) for asset in load()]


class DashboardPlugin(Plugin):
    """Offers the dashboard; it has no options."""

    @hookimpl
    def tidings_extras(self, context: Context) -> Iterable[Extra]:
        """The page."""
        return [DashboardExtra()]
