"""The subscriptions of an account: which channels are watched, and what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidings.contracts import Api, Asked
from tidings.event import Event, rfc3339
from tidings_youtube.cards import subscribed, unsubscribed
from tidings_youtube.channels import (
    Subscription,
    Subscriptions,
    own_channel,
    subscriptions,
    uploads_playlists,
)
from tidings_youtube.checkpoint import Channel, Memory
from tidings_youtube.readings import Read
from tidings_youtube.targets import wants
from tidings_youtube.window import Window

#: A list may lack for a moment what it had: gone is what is missing so often in a row.
ABSENT: Final = 2
_DAY_SECONDS: Final = 86_400.0


async def read_subscriptions(
    api: Api, asked: Asked, memory: Memory, most: int, read: Read | None
) -> Sequence[Event]:
    """Bring the memory's channels up to date; what was there at the first reading is not told.

    Args:
        api: As the account.
        asked: What core wants.
        memory: Changed.
        most: How many subscriptions count.
        read: What is known of them already; None where they must be asked for.

    Raises:
        AuthExpired, Unavailable, Rejected: As `Api.request`.
    """
    own_id, channels = api.account_key, memory.channels
    if not memory.likes or own_id not in channels:
        own = await own_channel(api)
        if own is not None:
            memory.likes = own.likes
            channels.setdefault(own_id, Channel(own.title, "", own.uploads, 0))
    if read is None:
        read = Read(await subscriptions(api, most), int(asked.now.timestamp()))
    shown = read.subscriptions
    begun = [one for one_id, one in shown.channels.items() if one_id not in channels]
    for one in begun:
        since = rfc3339(one.since) if one.since is not None else ""
        channels[one.channel_id] = Channel(one.title, since, "", 0)
    await _name_uploads(api, memory)
    events: list[Event] = []
    if memory.subscriptions_at:
        earliest = memory.subscriptions_at - _DAY_SECONDS
        events = [event for one in begun if (event := _begin(own_id, one, memory, earliest)) is not None]
        events += _end(own_id, shown, memory)
    memory.subscriptions_at = read.at
    return events if wants(asked.settings, "subscriptions") else ()


async def _name_uploads(api: Api, memory: Memory) -> None:
    nameless = [one for one, channel in memory.channels.items() if not channel.uploads]
    playlists = await uploads_playlists(api, nameless)
    for one in nameless:
        # By a rule that YouTube keeps without promising it; what it does not tell is closed, as a rule.
        memory.channels[one].uploads = playlists.get(one) or f"UU{one[2:]}"


def _begin(own_id: str, found: Subscription, memory: Memory, earliest: float) -> Event | None:
    """Have the uploads be news from the subscription on; its event, unless it is an old one that comes to light."""
    if found.since is None or found.since.timestamp() < earliest:
        return None
    memory.channels[found.channel_id].window = Window(int(found.since.timestamp()))
    return subscribed(own_id, found.channel_id, found.title, found.avatar_url, found.since)


def _end(own_id: str, shown: Subscriptions, memory: Memory) -> list[Event]:
    """Forget what is gone."""
    events = []
    for one_id, channel in list(memory.channels.items()):
        found = shown.channels.get(one_id)
        if found is not None:
            channel.title, channel.absences = found.title, 0
        elif one_id == own_id:
            continue
        elif not shown.is_whole:
            # Of a list that was cut, the end moves: what lies beyond is neither subscribed to nor unsubscribed from.
            del memory.channels[one_id]
        else:
            channel.absences += 1
            if channel.absences >= ABSENT:
                del memory.channels[one_id]
                events.append(unsubscribed(own_id, one_id, channel.title, channel.since))
    return events
