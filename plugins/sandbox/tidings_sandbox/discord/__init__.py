"""The emulated Discord: its API for people and for one bot, and the app's webhook events.

https://docs.discord.com/developers, as of 2026-08-06. Known differences from the real one:

- There is one app, with one bot, which is in the servers of each circle of five people from the start.
- Its webhook events go to this installation from the start; Discord's owner would enter the address by hand.
- Retries of a webhook event bear the first signature; whether Discord's do is not documented.
- Of permissions there are only as many as decide who sees a channel. Threads, forums, voice and direct messages do not
  exist.
- There are no pages for people, and pictures are faces, whatever their hash says.
"""

from __future__ import annotations

from tidings_sandbox.discord.service import Discord

__all__ = ["Discord"]
