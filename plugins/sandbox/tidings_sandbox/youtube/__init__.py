"""The emulated YouTube: the Data API with the day's units, and the hub that tells of uploads.

Known differences from the real one:

- A subscriber may be on this machine; YouTube's hub calls public addresses.
- An upload is listed at once; YouTube's lists lag behind the hub, or the other way round.
- Everything that is liked is listed with its instant; nothing is listed that was deleted since.
- The hub gives up after five more attempts within nine hours. Its log has the last 200.
- ETags, search and everything that writes do not exist.
"""

from __future__ import annotations

from tidings_sandbox.youtube.app import YouTube

__all__ = ["YouTube"]
