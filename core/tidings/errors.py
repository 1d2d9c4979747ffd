"""What can go wrong, in words that say what to do now.

    TidingsError
    ├── ConfigError            the configuration can't be used as it is
    │   └── PluginError        a plugin named by it can't be used
    ├── Unavailable            try again later                   (core retries, or answers 503)
    │   └── NotSent            a request that never left         (so trying again repeats nothing)
    ├── AuthExpired            the token is no longer accepted   (core refreshes once, else parks and asks)
    ├── Rejected               this item, for good               (core answers 4xx, drops, goes on)
    │   └── UnknownKey         it is signed with a key unknown   (core reads the keys anew, once)
    ├── InvalidCursor          a cursor nobody issued            (400)
    ├── Denied                 who asks may not                  (401 or 403)
    ├── NotFound               no such user, token, webhook, …   (404)
    └── Conflict               it exists already                 (409)

`Unavailable`, `AuthExpired` and `Rejected` are the three words by which a plugin tells core of a failure;
any other exception from a plugin is a defect of that plugin and is contained as one.
"""

from __future__ import annotations


class TidingsError(Exception):
    """Base of all errors that tidings raises on purpose; its text is fit to show."""


class ConfigError(TidingsError):
    """The configuration can't be used as it is.

    Args:
        problems: One line each, `file:line:column: key: what is wrong. What to write instead.`
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PluginError(ConfigError):
    """A plugin named by the configuration can't be found, imported or built."""


class Unavailable(TidingsError):
    """Try again later.

    Args:
        reason: What is not available.
        retry_after_seconds: How long to wait at least, where that is known.
    """

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class NotSent(Unavailable):
    """The other side can't have noticed: no connection came about. Sending it again repeats nothing."""


class AuthExpired(TidingsError):
    """The platform no longer accepts the token."""


class Rejected(TidingsError):
    """This item is refused for good; another try gives the same.

    Args:
        reason: Why, without any secret.
        status: HTTP status to answer where the item came by HTTP.
    """

    def __init__(self, reason: str, *, status: int = 401) -> None:
        super().__init__(reason)
        self.status = status


class UnknownKey(Rejected):
    """It is signed with a key that the platform may have published since its keys were read."""


class InvalidCursor(TidingsError):
    """A cursor that tidings never issued."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:64]!r} is not a cursor. Send one that an event, a page or a stream gave you, or 0 for "
            "the oldest event kept."
        )


class Denied(TidingsError):
    """Who asks may not.

    Args:
        reason: Why, and what would do.
        status: 401 where other credentials would help, 403 where these lack a right.
        code: A stable word for programs: `unauthenticated`, `forbidden`, `csrf`, ….
    """

    def __init__(self, reason: str, *, status: int = 401, code: str = "unauthenticated") -> None:
        super().__init__(reason)
        self.status = status
        self.code = code


class NotFound(TidingsError):
    """No such user, token, webhook or other thing."""


class Conflict(TidingsError):
    """It exists already, or something else stands in the way."""
