"""Notifies phones by ntfy (https://docs.ntfy.sh/publish/): a topic is a device, its name is its secret."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from tidings import (
    Admitted,
    Context,
    Device,
    Fate,
    News,
    NotSent,
    Options,
    Plugin,
    Pushed,
    Pushes,
    Rejected,
    Secret,
    Transport,
    Unavailable,
    encode_json,
    hookimpl,
    retry_after_seconds,
)
from tidings.fields import clip, obj, raw

_TOPIC = re.compile(r"/([A-Za-z0-9_-]{1,64})", re.ASCII)  # as ntfy itself has it
_MOST_TITLE, _MOST_TEXT = 200, 1000
_FATES = {
    401: Fate.BLOCKED,
    403: Fate.BLOCKED,
    408: Fate.LATER,
    429: Fate.LATER,
    404: Fate.GONE,
    410: Fate.GONE,
}


class NtfyOptions(Options):
    """Options of the transport `ntfy`.

    Attributes:
        servers: The ntfy servers that people may name.
        token: Proves to them who publishes, where topics are protected.
        priority: From 1, the least, to 5.
    """

    servers: tuple[str, ...] = ("https://ntfy.sh",)
    token: Secret = None
    priority: Annotated[int, Field(ge=1, le=5)] = 3


class Ntfy(Pushes):
    """Pushes by one request each; nothing is encrypted for a device, so there are no keys of its own."""

    name = "ntfy"

    def __init__(self, context: Context, options: NtfyOptions) -> None:
        self._http, self._clock = context.http, context.clock
        self._options, self._servers = options, [one.rstrip("/") for one in options.servers]

    async def admit(self, wish: Mapping[str, str]) -> Admitted:
        """A topic at one of the servers that the operator named, and nothing else."""
        endpoint = wish.get("endpoint", "")
        server = next((one for one in self._servers if endpoint.startswith(f"{one}/")), None)
        topic = _TOPIC.fullmatch(endpoint.removeprefix(server)) if server is not None else None
        if server is None or topic is None:
            known = ", ".join(self._servers)
            raise Rejected(
                f"endpoint is no topic at a server of ntfy that is known here: {known}.", status=400
            )
        address = {"server": server, "topic": topic[1]}
        return Admitted(address, endpoint, urlsplit(server).netloc)

    async def push(self, device: Device, news: News | None) -> Pushed:
        """See `Pushes.push`."""
        message = {"topic": device.address["topic"], "priority": self._options.priority, **_told(news)}
        headers = {"content-type": "application/json"}
        if self._options.token is not None:
            headers["authorization"] = f"Bearer {self._options.token.get_secret_value()}"
        try:
            answer = await self._http.send(
                "POST", device.address["server"], headers=headers, body=encode_json(message)
            )
        except (NotSent, Unavailable):
            return Pushed(Fate.LATER, detail="The ntfy server does not answer.")
        if answer.status < 300:
            return Pushed(Fate.TAKEN, answer.status)
        fate = _FATES.get(answer.status, Fate.LATER if answer.status >= 500 else Fate.REFUSED)
        wait_seconds = retry_after_seconds(answer.headers, self._clock.now())
        return Pushed(fate, answer.status, f"The ntfy server answers {answer.status}.", wait_seconds)


def _told(news: News | None) -> Mapping[str, Any]:
    """A notification: of one event what it shows, of several how many and the newest."""
    if news is None:
        return {"title": "tidings", "message": "Notifications arrive here."}
    entry = news.entries[-1]
    shown = obj({"data": json.loads(bytes(entry.data))}, "data")
    title, text, url = (raw(shown, name) for name in ("title", "text", "url"))
    if news.count > 1:
        text, title = f"The newest: {title}", f"{news.count} new events"
    platform = news.names.get(entry.platform, entry.platform)
    message = {"title": clip(title or platform, _MOST_TITLE), "message": clip(text or platform, _MOST_TEXT)}
    return {**message, "tags": [entry.platform], **({"click": url} if url.startswith("https://") else {})}


class NtfyPlugin(Plugin):
    """Offers the transport."""

    options_model = NtfyOptions
    options: NtfyOptions

    @hookimpl
    def tidings_transports(self, context: Context) -> Iterable[Transport]:
        """The one transport."""
        return [Ntfy(context, self.options)]
