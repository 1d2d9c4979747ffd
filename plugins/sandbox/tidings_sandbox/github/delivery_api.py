"""The API of delivery logs: what was sent to a hook, and sending it again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final

from tidings_sandbox.github.apps import Apps
from tidings_sandbox.github.deliveries import Delivery, Outbox
from tidings_sandbox.github.hook_api import HookApi
from tidings_sandbox.github.hooks import Hook, invalid
from tidings_sandbox.github.requests import Header, Problem, Request, Router, link_header, listing
from tidings_sandbox.wire import Answer, json_answer

_READ: Final = ("read:repo_hook", "write:repo_hook", "admin:repo_hook")
_WRITE: Final = ("write:repo_hook", "admin:repo_hook")
_CURSOR: Final = "v1_"

Find = Callable[[Request, tuple[str, ...], tuple[str, ...]], Hook]


class DeliveryApi:
    """Answers calls about deliveries.

    Args:
        api: The API's address.
        hook_api: Finds the hooks of repositories and organisations.
        apps: Finds those of GitHub Apps.
        outbox: Sends again.
    """

    def __init__(self, api: str, hook_api: HookApi, apps: Apps, outbox: Outbox) -> None:
        self._api = api
        self._hook_api = hook_api
        self._apps = apps
        self._outbox = outbox

    def mount(self, router: Router) -> None:
        """Add the calls."""
        for place, find in (
            ("/repos/*/*/hooks/*", self._hook_api.hook),
            ("/orgs/*/hooks/*", self._hook_api.hook),
            ("/app/hook", self._app_hook),
        ):
            router.add("GET", f"{place}/deliveries", self._bound(self.get_all, find, _READ, ids=0))
            router.add("GET", f"{place}/deliveries/*", self._bound(self.get, find, _READ, ids=1))
            router.add(
                "POST", f"{place}/deliveries/*/attempts", self._bound(self.repeat, find, _WRITE, ids=1)
            )

    def get_all(self, request: Request, hook: Hook) -> Answer:
        """A page of the log, newest first; the next one lies behind the `cursor` in the `Link` header."""
        size = request.number("per_page", 30, 100)
        deliveries = hook.log.newest(request.at)
        wanted = request.query.get("status", "")
        if wanted == "success":
            deliveries = (delivery for delivery in deliveries if delivery.succeeded)
        elif wanted == "failure":  # attempts without any answer are not among these
            deliveries = (delivery for delivery in deliveries if 400 <= delivery.status_code < 600)
        if cursor := request.query.get("cursor", ""):
            text = cursor.removeprefix(_CURSOR)
            if not text.isdecimal():
                raise invalid("Invalid cursor", resource="HookDelivery", field="cursor")
            before = int(text)
            deliveries = (delivery for delivery in deliveries if delivery.id < before)
        page = list(islice(deliveries, size))
        headers: list[Header] = []
        if next(deliveries, None) is not None:
            headers.append(link_header(request, self._api, {"next": {"cursor": f"{_CURSOR}{page[-1].id}"}}))
        return listing([delivery.show_encoded() for delivery in page], headers)

    def get(self, request: Request, hook: Hook, identity: str) -> Answer:
        """One attempt with its request."""
        return json_answer(self._delivery(request, hook, identity).show_all())

    def repeat(self, request: Request, hook: Hook, identity: str) -> Answer:
        """Send it once more, under the same GUID."""
        self._outbox.send(hook, self._delivery(request, hook, identity).message, redelivery=True)
        return json_answer({}, 202)

    def _delivery(self, request: Request, hook: Hook, identity: str) -> Delivery:
        delivery = hook.log.get(int(identity), request.at) if identity.isdecimal() else None
        if delivery is None:
            raise Problem(404, "Not Found")
        return delivery

    def _app_hook(self, request: Request, names: tuple[str, ...], scopes: tuple[str, ...]) -> Hook:
        return self._apps.authenticate(request.bearer, request.at).hook

    @staticmethod
    def _bound(
        answer: Callable[..., Answer], find: Find, scopes: tuple[str, ...], *, ids: int
    ) -> Callable[..., Answer]:
        def handle(request: Request, *names: str) -> Answer:
            split = len(names) - ids
            return answer(request, find(request, names[:split], scopes), *names[split:])

        return handle
