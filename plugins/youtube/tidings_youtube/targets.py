"""The channels that are watched for an account: its own, and those that it subscribes to, by its user's choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidings.contracts import Api, Target
from tidings.fields import one_line
from tidings_youtube.channels import subscriptions
from tidings_youtube.readings import Readings

_KEY: Final = "channel:"
_ALL: Final = "all"

#: What the user of a connection can choose, as a JSON Schema from which a page makes a form.
SETTINGS_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "channels": {
            "title": "Channels",
            "description": "Of those that you subscribe to. A channel is named by its title or its id.",
            "default": _ALL,
            "oneOf": [
                {"const": _ALL, "title": "All that I subscribe to"},
                {
                    "type": "array",
                    "title": "Only these",
                    "items": {"type": "string", "title": "channel"},
                    "examples": ["UC_x5XG1OV2P6uZZ5FSM9Ttw"],
                },
            ],
        },
        "own": {"title": "My own videos", "type": "boolean", "default": True},
        "likes": {"title": "What I like", "type": "boolean", "default": True},
        "playlists": {"title": "My playlists", "type": "boolean", "default": True},
        "subscriptions": {"title": "Whom I subscribe to", "type": "boolean", "default": True},
    },
}


def key_of(channel_id: str) -> str:
    """The key of a channel's target."""
    return f"{_KEY}{channel_id}"


def channel_of(key: str) -> str:
    """The channel that a target's key names."""
    return key.removeprefix(_KEY)


def wants(settings: Mapping[str, Any], name: str) -> bool:
    """Whether the user wants that: `own`, `likes`, `playlists` or `subscriptions`."""
    return settings.get(name) is not False


def chosen(titles: Mapping[str, str], settings: Mapping[str, Any]) -> list[str]:
    """The ids of those channels that the user chose, in their order.

    Args:
        titles: Of all channels, by id.
        settings: The connection's own.
    """
    wish = settings.get("channels", _ALL)
    if not isinstance(wish, list):
        return list(titles)
    wanted = {_folded(one) for one in wish if isinstance(one, str)}
    return [one for one, title in titles.items() if _folded(one) in wanted or _folded(title) in wanted]


async def watched(
    api: Api, settings: Mapping[str, Any], most_channels: int, readings: Readings
) -> Sequence[Target]:
    """What the hub is to be asked for; what is read for it, is kept for the next poll.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    read = await subscriptions(api, most_channels)
    readings.keep(api.account_key, read)
    found = read.channels
    titles = {one: channel.title for one, channel in found.items() if one != api.account_key}
    targets = [Target(key_of(one), titles[one] or one) for one in chosen(titles, settings)]
    own = Target(key_of(api.account_key), "Your own channel")
    return [own, *targets] if wants(settings, "own") else targets


def _folded(title: str) -> str:
    """A channel's title, id or address, so that two can be compared."""
    return one_line(title).removeprefix("https://www.youtube.com/channel/").rstrip("/").casefold()
