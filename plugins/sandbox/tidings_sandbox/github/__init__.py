"""The emulated GitHub: its API, webhooks with a delivery log, feeds, notifications and GitHub Apps.

Known differences from the real one:

- A webhook may point to this machine; GitHub refuses such addresses.
- There are no users' pages: a repository's or issue's address leads to a page that says so. An app's manifest and its
  installation are agreed to without a question.
- A GitHub App's user token looks like an OAuth app's (`gho_`); installation tokens are not given.
- Feeds lag by 30 to 120 seconds; GitHub's by up to six hours.
- A merged pull request comes with its push, a release without the push of its tag.
- Files, labels, reviews, discussions, teams and wikis do not exist.
"""

from __future__ import annotations

from tidings_sandbox.github.app import GitHub

__all__ = ["GitHub"]
