"""An example delivery: a new video as the hub sends it, signed."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final
from xml.sax.saxutils import escape

from tidings.contracts import Keys, WebhookRequest
from tidings.errors import NotFound

_CHANNEL: Final = "UC_x5XG1OV2P6uZZ5FSM9Ttw"
_TITLES: Final = ("How an octopus juggles", "Knots & splices, explained", "A walk by the sea")
_HUB: Final = "https://pubsubhubbub.appspot.com"


def video(keys: Keys, now: datetime, serial: str) -> WebhookRequest:
    """A video that was published a minute ago.

    Raises:
        NotFound: There is no key to sign with.
    """
    if not keys.secrets:
        raise NotFound(
            "There is no secret to sign with: the hub's deliveries come to addresses that tidings subscribes itself."
        )
    digest = hashlib.sha256(serial.encode()).hexdigest()
    title = escape(_TITLES[int(digest[:4], 16) % len(_TITLES)])
    topic = f"https://www.youtube.com/xml/feeds/videos.xml?channel_id={_CHANNEL}"
    published, updated = (now - timedelta(seconds=seconds) for seconds in (60, 12))
    body = f"""<?xml version='1.0' encoding='UTF-8'?>
<feed xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns="http://www.w3.org/2005/Atom">
<link rel="hub" href="{_HUB}"/><link rel="self" href="{topic}"/><title>YouTube video feed</title>
<updated>{updated.isoformat()}</updated><entry>
 <id>yt:video:{digest[:11]}</id>
 <yt:videoId>{digest[:11]}</yt:videoId>
 <yt:channelId>{_CHANNEL}</yt:channelId>
 <title>{title}</title>
 <link rel="alternate" href="https://www.youtube.com/watch?v={digest[:11]}"/>
 <author>
  <name>Octo Garden</name>
  <uri>https://www.youtube.com/channel/{_CHANNEL}</uri>
 </author>
 <published>{published.isoformat()}</published>
 <updated>{updated.isoformat()}</updated>
</entry></feed>
""".encode()
    headers = {
        "content-type": "application/atom+xml",
        "link": f"<{topic}>; rel=self, <{_HUB}>; rel=hub",
        "user-agent": "FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)",
        "x-hub-signature": f"sha1={hmac.new(keys.secrets[0], body, 'sha1').hexdigest()}",
    }
    return WebhookRequest("POST", "/api/webhooks/youtube", "", headers, body)
