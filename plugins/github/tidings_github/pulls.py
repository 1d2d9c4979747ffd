"""Cards for pull requests and their reviews."""

from __future__ import annotations

from datetime import datetime

from tidings.fields import Object, flag, instant, line, link, obj, text, word
from tidings_github.card import Card, Happening
from tidings_github.issues import numbered, subject, summary
from tidings_github.phrases import phrase
from tidings_github.recipes import MERGED, case

_TELLS_ITS_BODY = frozenset({"opened", "edited", "ready_for_review"})
_INSTANT_OF = {"opened": "created_at", "closed": "closed_at", MERGED: "merged_at"}


def pull_request(happening: Happening) -> Card:
    """Something happened to a pull request."""
    pull = obj(happening.payload, "pull_request")
    done = case(happening.event, happening.action, happening.payload)
    words = "merged" if done == MERGED else phrase(happening)
    if done == "opened" and flag(pull, "draft"):
        words = "opened as a draft"
    base, head = word(obj(pull, "base"), "ref"), word(obj(pull, "head"), "ref")
    return Card(
        title=happening.title(f"{numbered('Pull request', pull)} {words}".strip(), line(pull, "title")),
        text=text(pull, "body") if done in _TELLS_ITS_BODY else "",
        url=link(pull, "html_url"),
        subject=subject("pull", pull),
        time=instant(pull, _INSTANT_OF.get(done, "updated_at")),
        fields=summary(pull)
        | {"merged": flag(pull, "merged"), "draft": flag(pull, "draft"), "base": base, "head": head},
    )


def pull_request_review(happening: Happening) -> Card:
    """A pull request was reviewed, or a review changed."""
    pull = obj(happening.payload, "pull_request")
    review = obj(happening.payload, "review")
    return Card(
        title=happening.title(_review_words(happening, review, pull), line(pull, "title")),
        text=text(review, "body"),
        url=link(review, "html_url") or link(pull, "html_url"),
        subject=subject("pull", pull),
        time=_review_time(happening.action, review, pull),
        fields=summary(pull) | {"review_state": word(review, "state").lower()},
    )


def _review_words(happening: Happening, review: Object, pull: Object) -> str:
    thing = numbered("pull request", pull)
    if happening.action != "submitted":
        return f"Review of {thing} {phrase(happening)}".rstrip()
    state = word(review, "state").lower()
    if state == "changes_requested":
        return f"Changes requested on {thing}"
    return f"{numbered('Pull request', pull)} {'approved' if state == 'approved' else 'reviewed'}"


def _review_time(action: str, review: Object, pull: Object) -> datetime | None:
    if action == "submitted":
        return instant(review, "submitted_at")
    return instant(review, "updated_at") or instant(pull, "updated_at")
