"""A verified webhook event -> what it tells. Pure, and it never raises but `Rejected`.

Discord's webhook events tell of the consent, not of what happens in servers
(https://docs.discord.com/developers/events/webhook-events, 2026). They have no id, come in no order, and come again for
ten minutes; so their content names them.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import msgspec

from tidings.contracts import Parsed, Reply, WebhookRequest
from tidings.event import Event
from tidings.fields import TITLE_LENGTH, Object, clip, instant, number, obj, raw, word
from tidings_discord.body import payload
from tidings_discord.fields import snowflake, words
from tidings_discord.site import Site

PLATFORM: Final = "discord"
AUTHORIZED: Final = "APPLICATION_AUTHORIZED"
DEAUTHORIZED: Final = "APPLICATION_DEAUTHORIZED"

# The type of content is required, though nothing follows ("Acknowledging PING requests").
_ANSWER: Final = Reply(204, content_type="application/json")
_PING, _EVENT = 0, 1
_TYPE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
_TITLES: Final = {
    "ENTITLEMENT_CREATE": "An entitlement was given",
    "ENTITLEMENT_UPDATE": "An entitlement was changed",
    "ENTITLEMENT_DELETE": "An entitlement was taken back",
    "LOBBY_MESSAGE_CREATE": "A message in a lobby",
    "LOBBY_MESSAGE_UPDATE": "A message in a lobby was changed",
    "LOBBY_MESSAGE_DELETE": "A message in a lobby was deleted",
    "GAME_DIRECT_MESSAGE_CREATE": "A direct message in a game",
    "GAME_DIRECT_MESSAGE_UPDATE": "A direct message in a game was changed",
    "GAME_DIRECT_MESSAGE_DELETE": "A direct message in a game was deleted",
}


def parse(request: WebhookRequest, site: Site) -> Parsed:
    """What a verified delivery says: a greeting, what became of a consent, or something of the app's own.

    Whatever is in it is answered 204: anything else has Discord send it again, and in the end turn the address off.

    Raises:
        Rejected: 400. It is no JSON object, so Discord did not make it.
    """
    said = payload(request.body)
    kind = number(said, "type")
    if kind == _PING:
        return Parsed((), kind="PING", answer=_ANSWER)
    event = obj(said, "event")
    name = raw(event, "type")
    if kind != _EVENT or _TYPE.fullmatch(name) is None:
        return Parsed((), kind="unknown", answer=_ANSWER)
    data = obj(event, "data")
    user = obj(data, "user") or obj(data, "author")
    user_id = snowflake(user, "id") or snowflake(data, "user_id")
    digest = _digest(said, event, user_id, data)
    parsed = Parsed((), delivery_id=digest, kind=name, answer=_ANSWER)
    if not user_id:
        return parsed  # there is nobody whom it could be told
    is_revoked = name == DEAUTHORIZED
    return msgspec.structs.replace(
        parsed,
        events=(_tell(name, event, data, user, user_id, digest, site),),
        addresses=(f"user:{user_id}",),
        signal="revoked" if is_revoked else "",
        signalled_at=instant(event, "timestamp", is_utc=True) if is_revoked else None,
    )


def _digest(said: Object, event: Object, user_id: str, data: Object) -> str:
    """What names a delivery: all that tells it from another one."""
    parts = (
        snowflake(said, "application_id"),
        raw(event, "type"),
        raw(event, "timestamp"),
        user_id,
        snowflake(data, "id"),  # of an entitlement or a message: several may bear one instant
    )
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()


def _tell(
    name: str, event: Object, data: Object, user: Object, user_id: str, digest: str, site: Site
) -> Event:
    title, text, more = _card(name, data)
    return Event(
        id=f"{PLATFORM}:{user_id}:{name.lower()}:{digest[:32]}",
        type=f"com.discord.{name.lower()}",
        source="//discord.com/oauth2",
        subject=user_id,
        time=instant(event, "timestamp", is_utc=True),
        platform=PLATFORM,
        data={
            "title": clip(title, TITLE_LENGTH),
            "text": text,
            "url": f"{site.web_url}/settings/authorized-apps" if name in {AUTHORIZED, DEAUTHORIZED} else "",
            "actor": site.actor(user),
            **more,
        },
    )


def _card(name: str, data: Object) -> tuple[str, str, dict[str, Any]]:
    """Title, text and further fields."""
    if name == AUTHORIZED:
        scopes, server = words(data, "scopes"), word(obj(data, "guild"), "name")
        title = f"The app was added to the server {server}" if server else "You let the app see your account"
        text = f"It may: {', '.join(scopes)}." if scopes else ""
        return title, text, {"scopes": scopes, "server": _server(data)}
    if name == DEAUTHORIZED:
        text = "All its tokens have ended. Connect again to go on hearing of this account."
        return "You took the app's access to your account back", text, {"attention": True}
    title = _TITLES.get(name) or name.replace("_", " ").capitalize()
    return title, "", {"about": snowflake(data, "id")}


def _server(data: Object) -> dict[str, str]:
    guild = obj(data, "guild")
    return {"id": snowflake(guild, "id"), "name": word(guild, "name")}
