"""What the hub delivers: Atom feeds with one entry.

The form: https://developers.google.com/youtube/v3/guides/push_notifications (2026); tombstones by RFC 6721.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from xml.sax.saxutils import escape

from tidings_sandbox.youtube.place import Channel, Video

HUB: Final = "https://pubsubhubbub.appspot.com"
_SITE: Final = "https://www.youtube.com"


def topic(channel_id: str) -> str:
    """The address of a channel's feed, as the hub writes it."""
    return f"{_SITE}/xml/feeds/videos.xml?channel_id={channel_id}"


def entry(video: Video) -> bytes:
    """A video that is new, or was edited: nothing says which."""
    channel = video.channel
    updated = f"{video.updated_at:%Y-%m-%dT%H:%M:%S}.{video.updated_at.microsecond:06d}123+00:00"
    return f"""<?xml version='1.0' encoding='UTF-8'?>
<feed xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns="http://www.w3.org/2005/Atom">\
<link rel="hub" href="{HUB}"/><link rel="self" href="{topic(channel.id)}"/><title>YouTube video feed</title>\
<updated>{updated}</updated><entry>
  <id>yt:video:{video.id}</id>
  <yt:videoId>{video.id}</yt:videoId>
  <yt:channelId>{channel.id}</yt:channelId>
  <title>{escape(video.title)}</title>
  <link rel="alternate" href="{_SITE}/watch?v={video.id}"/>
  <author>
   <name>{escape(channel.title)}</name>
   <uri>{_SITE}/channel/{channel.id}</uri>
  </author>
  <published>{_second(video.published_at)}</published>
  <updated>{updated}</updated>
 </entry></feed>
""".encode()


def tombstone(video_id: str, channel: Channel, at: datetime) -> bytes:
    """A video that was deleted."""
    return f"""<?xml version='1.0' encoding='UTF-8'?>
<feed xmlns:at="http://purl.org/atompub/tombstones/1.0" xmlns="http://www.w3.org/2005/Atom">\
<at:deleted-entry ref="yt:video:{video_id}" when="{_second(at)}">
  <link href="{_SITE}/watch?v={video_id}"/>
  <at:by>
   <name>{escape(channel.title)}</name>
   <uri>{_SITE}/channel/{channel.id}</uri>
  </at:by>
 </at:deleted-entry></feed>
""".encode()


def _second(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}+00:00"
