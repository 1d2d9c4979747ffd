"""tidings: everything new in the accounts you already have, the moment the platform allows.

Plugin authors import from `tidings.hooks`, `tidings.contracts`, `tidings.event`, `tidings.errors`,
`tidings.context`, `tidings.config` (option types), `tidings.selection` and `tidings.asgi`.
"""

from importlib.metadata import version

__version__ = version("tidings")
