"""The emulated Slack: a workspace, its Web API, and its Events API.

Known differences from the real one:

- The Request URL may point to this machine, without https.
- Tokens of bots look like those of people (`xoxp-`), and those that rotate like those that don't.
- A consent can be given for some scopes alone; Slack asks for all or nothing.
- Conversations of more than two people, files, apps' messages, shared channels and Enterprise organisations do not
  exist. Nobody uninstalls an app but by taking back every consent.
- Event subscriptions are never switched off for too many failures; with fewer than 1,000 events an hour Slack does not
  do that either.
"""

from tidings_sandbox.slack.service import CLIENT_ID, Slack

__all__ = ["CLIENT_ID", "Slack"]
