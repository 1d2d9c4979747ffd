"""Messages as events: written, edited, deleted; and what Slack itself writes into a channel.

Pushed and polled messages are the same objects (https://docs.slack.dev/reference/events/message), so both are told
here. That somebody joined, or that a channel was renamed or archived, is told from the message that Slack writes into
the channel then: the events of their own that are pushed besides are not in any history, and would tell it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tidings.fields import Object, flag, line, link, obj, objs, raw, word
from tidings_slack.card import Place, Told, actor_of, told
from tidings_slack.fields import identity
from tidings_slack.mrkdwn import plain
from tidings_slack.stamps import is_later, stamp

JOINED: Final = frozenset({"channel_join", "group_join"})
RENAMED: Final = frozenset({"channel_name", "group_name"})
_ARCHIVED: Final = frozenset({"channel_archive", "group_archive"})
_UNARCHIVED: Final = frozenset({"channel_unarchive", "group_unarchive"})
#: Where the message of a thread's beginning was deleted, this stands in its place.
TOMBSTONE: Final = "tombstone"
_MOST_FILES: Final = 10
# Nobody need hear of these, or another message tells it.
_SILENT: Final = frozenset(
    {"channel_leave", "group_leave", "bot_add", "bot_remove", "message_replied", "reply_broadcast", TOMBSTONE}
)


def tell_message(place: Place, message: Object) -> Told | None:
    """A message that was written; None where it is none that anybody need hear of."""
    at, subtype = stamp(message, "ts"), raw(message, "subtype")
    if not at or subtype in _SILENT:
        return None
    for subtypes, tell in _BY_SLACK:
        if subtype in subtypes:
            return tell(place, message, at)
    if flag(message, "hidden"):  # Slack hides from clients what only changes another message
        return None
    user, thread = identity(message, "user"), _thread(message)
    return told(
        place,
        at,
        "message",
        doer=user,
        stamp=at,
        title=place.title("Reply" if thread else "Message"),
        text=_text(place, message),
        url=place.url(at, thread),
        actor=actor_of(place, user, message),
        source_text=raw(message, "text"),
        more={**_more(message, at), **_files(message)},
    )


def tell_edit(place: Place, message: Object, *, since: str = "") -> Told | None:
    """A message that was edited after `since`; None where it was not.

    Slack also sends messages as changed to which it has added the preview of a link; nobody edited those.
    """
    at, edited_at = stamp(message, "ts"), stamp(obj(message, "edited"), "ts")
    if not at or not edited_at or (since and not is_later(edited_at, since)):
        return None
    editor = identity(obj(message, "edited"), "user") or identity(message, "user")
    thread = _thread(message)
    return told(
        place,
        f"{at}:edited:{edited_at}",
        "message_changed",
        doer=editor,
        stamp=edited_at,
        title=place.title("Message edited"),
        text=_text(place, message),
        url=place.url(at, thread),
        actor=actor_of(place, editor, message if editor == identity(message, "user") else {}),
        source_text=raw(message, "text"),
        more={**_more(message, at), "edited_ts": edited_at},
    )


def tell_deletion(place: Place, deleted: str, previous: Object, at: str) -> Told:
    """A message that is gone. What it said is not repeated.

    Args:
        place: Where.
        deleted: Its `ts`.
        previous: What it was.
        at: When it was deleted, as `ts`.
    """
    author = identity(previous, "user")
    return told(
        place,
        f"{deleted}:deleted",
        "message_deleted",
        doer=author,
        stamp=at,
        title=place.title("Message deleted"),
        text="",
        url=place.url(),
        actor=actor_of(place, author, previous),
        more={"ts": deleted, "thread_ts": _thread(previous)},
    )


def _joined(place: Place, message: Object, at: str) -> Told:
    user, inviter = identity(message, "user"), identity(message, "inviter")
    actor = actor_of(place, user, message)
    added = inviter and inviter != user
    by = f" by {_name(place, inviter)}" if added else ""
    found = told(
        place,
        at,
        "member_joined_channel",
        doer=inviter if added else user,
        stamp=at,
        title=place.title("New member"),
        text=f"{actor['name']} was added{by}" if added else f"{actor['name']} joined",
        url=place.url(at),
        actor=actor,
        more=_more(message, at),
    )
    return found._replace(people=tuple(one for one in (user, inviter) if one))


def _renamed(place: Place, message: Object, at: str) -> Told:
    new, old, user = word(message, "name"), word(message, "old_name"), identity(message, "user")
    return told(
        place,
        at,
        "channel_rename",
        doer=user,
        stamp=at,
        title=f"#{old} is now #{new}" if new and old else place.title("New name"),
        text=plain(place.names, place.team, raw(message, "text")),
        url=place.url(),
        actor=actor_of(place, user, message),
        more={**_more(message, at), "name": new, "old_name": old},
    )


def _archived(place: Place, message: Object, at: str) -> Told:
    return _changed(place, message, at, "channel_archive", "archived")


def _unarchived(place: Place, message: Object, at: str) -> Told:
    return _changed(place, message, at, "channel_unarchive", "brought back from the archive")


def _changed(place: Place, message: Object, at: str, kind: str, how: str) -> Told:
    user = identity(message, "user")
    return told(
        place,
        at,
        kind,
        doer=user,
        stamp=at,
        title=f"#{place.name} was {how}" if place.name else f"A channel was {how}",
        text=plain(place.names, place.team, raw(message, "text")),
        url=place.url(),
        actor=actor_of(place, user, message),
        more=_more(message, at),
    )


_BY_SLACK: Final[tuple[tuple[frozenset[str], Callable[[Place, Object, str], Told]], ...]] = (
    (JOINED, _joined),
    (RENAMED, _renamed),
    (_ARCHIVED, _archived),
    (_UNARCHIVED, _unarchived),
)


def _thread(message: Object) -> str:
    """The beginning of the thread that a message answers; "" for a message that answers none."""
    thread = stamp(message, "thread_ts")
    return thread if thread != stamp(message, "ts") else ""


def _more(message: Object, at: str) -> Mapping[str, Any]:
    return {"ts": at, "thread_ts": _thread(message), "subtype": line(message, "subtype", 64)}


def _text(place: Place, message: Object) -> str:
    """What a message says; of one without words, what is attached to it."""
    found = plain(place.names, place.team, raw(message, "text"))
    if found:
        return found
    for attached in objs(message, "attachments"):
        for key in ("text", "fallback", "title"):
            if words := plain(place.names, place.team, raw(attached, key)):
                return words
    names = [name for name in (word(file, "name") for file in objs(message, "files")[:_MOST_FILES]) if name]
    return ", ".join(names)


def _files(message: Object) -> Mapping[str, Any]:
    found = [
        {"name": word(file, "name"), "type": word(file, "mimetype"), "url": link(file, "permalink")}
        for file in objs(message, "files")[:_MOST_FILES]
    ]
    return {"files": found} if found else {}


def _name(place: Place, user: str) -> str:
    known = place.names.person(place.team, user)
    return known.name if known is not None and known.name else user
