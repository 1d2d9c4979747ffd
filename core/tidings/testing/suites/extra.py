"""What an extra must be."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from starlette.routing import BaseRoute, Mount, Route

from tidings.contracts import Extra
from tidings.testing.bench import serving
from tidings.testing.suite import fail, require, standard
from tidings.testing.suites.plugin import PluginSuite

#: Where core is at home.
_CORE: Final = ("/api/", "/metrics", "/openapi.json", "/ws", "/login/")


class ExtraSuite(PluginSuite):
    """What an extra must be."""

    def routes(self, offer: object) -> list[BaseRoute]:
        """Its routes."""
        if not isinstance(offer, Extra):
            fail(f"{self.plugin} offers {type(offer).__qualname__}, which is no Extra.")
        return list(offer.routes())

    @standard
    def test_keeps_to_its_own_addresses(self) -> None:
        """No route of it lies where core's lie, or twice at one address."""
        with self.offered() as (offer, _):
            paths = [str(getattr(route, "path", "")) for route in self.routes(offer)]
        taken = [path for path in paths if path.startswith(_CORE)]
        require(not taken, f"These addresses are core's: {', '.join(taken)}.")
        methods = Counter(_key(route) for route in self._again())
        twice = [path for (path, _), count in methods.items() if count > 1]
        require(not twice, f"These addresses are there twice: {', '.join(twice)}.")

    def _again(self) -> list[BaseRoute]:
        with self.offered() as (offer, _):
            return self.routes(offer)

    @standard
    def test_shows_its_notice_where_there_is_a_page(self) -> None:
        """What it wants everybody to know has a page of its own, or none."""
        with self.offered() as (offer, _):
            url, paths = offer.notice_url, [getattr(route, "path", "") for route in self.routes(offer)]
            require(not url or url in paths, f"notice_url is {url}, and there is no such route.")
            require(not url or offer.notice, "There is a notice_url, and no notice.")

    @standard
    async def test_answers_strangers(self) -> None:
        """Whoever asks without credentials gets an answer, never a failure of the server."""
        async with serving(self.plugin, self.options) as server:
            for route in self._again():
                if isinstance(route, Mount) or "{" in getattr(route, "path", "{"):
                    continue
                answer = await server.client.get(route.path)  # type: ignore[attr-defined]  # a Route has one
                require(answer.status_code < 500, f"GET {route.path} is answered {answer.status_code}.")  # type: ignore[attr-defined]  # likewise

    @standard
    async def test_works_and_stops(self) -> None:
        """A server with it starts, is well, and stops when it is told to."""
        async with serving(self.plugin, self.options) as server:
            down = {
                name: one["reason"]
                for name, one in server.services.health.report().items()
                if one["status"] == "down"
            }
        require(not down, f"With it the server is not well: {down}.")


def _key(route: BaseRoute) -> tuple[str, tuple[str, ...]]:
    methods: Any = route.methods if isinstance(route, Route) else ()
    return str(getattr(route, "path", "")), tuple(sorted(methods or ()))
