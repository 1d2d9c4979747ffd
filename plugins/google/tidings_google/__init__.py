"""What the connectors of one Google project share: consent, identity, and what Google's APIs say about limits.

No connector by itself: Gmail, Google Calendar and YouTube are, each in its own package.
"""

from tidings_google.connects import SCOPE, GoogleConnects, Profile, error_reason
from tidings_google.settings import GoogleOptions, Url

__all__ = ["SCOPE", "GoogleConnects", "GoogleOptions", "Profile", "Url", "error_reason"]
