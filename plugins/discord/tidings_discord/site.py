"""Where Discord is, and the addresses of what it shows."""

from __future__ import annotations

import dataclasses
from typing import Final

from tidings.fields import Object, word
from tidings_discord.fields import image, snowflake


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """Discord's addresses.

    Attributes:
        authorize_url: Where people consent.
        token_url: Where tokens are given.
        revoke_url: Where they are given back.
        api_url: The HTTP API, with its version: without one Discord takes version 6, which is deprecated
            (https://docs.discord.com/developers/reference, 2026).
        web_url: Pages for people.
        cdn_url: Pictures.
    """

    authorize_url: str = "https://discord.com/oauth2/authorize"
    token_url: str = "https://discord.com/api/v10/oauth2/token"  # noqa: S105 - an address
    revoke_url: str = "https://discord.com/api/v10/oauth2/token/revoke"
    api_url: str = "https://discord.com/api/v10"
    web_url: str = "https://discord.com"
    cdn_url: str = "https://cdn.discordapp.com"

    def user_url(self, identity: str) -> str:
        """Somebody's profile; "" for nobody's."""
        return f"{self.web_url}/users/{identity}" if identity else ""

    def avatar_url(self, user: Object) -> str:
        """A user's picture: their own, or one of the six that Discord gives to who has none; "" for nobody's."""
        identity = snowflake(user, "id")
        if not identity:
            return ""
        avatar = image(user, "avatar")
        if avatar:
            return f"{self.cdn_url}/avatars/{identity}/{avatar}.png"
        return f"{self.cdn_url}/embed/avatars/{(int(identity) >> 22) % 6}.png"

    def actor(self, user: Object) -> dict[str, str]:
        """A user as cards show them."""
        return {
            "name": name_of(user),
            "avatar_url": self.avatar_url(user),
            "url": self.user_url(snowflake(user, "id")),
        }

    def guild_url(self, guild_id: str) -> str:
        """A server."""
        return f"{self.web_url}/channels/{guild_id}"

    def message_url(self, guild_id: str, channel_id: str, message_id: str) -> str:
        """A message in its channel."""
        return f"{self.web_url}/channels/{guild_id}/{channel_id}/{message_id}"


def name_of(user: Object) -> str:
    """What people call a user: the display name, else the unique one."""
    return word(user, "global_name") or word(user, "username")


DISCORD: Final = Site()
