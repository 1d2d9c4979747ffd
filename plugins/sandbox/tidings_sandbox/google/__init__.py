"""The emulated Google: one consent, identity and set of keys, and the services that stand on them."""

from tidings_sandbox.google.accounts import CLIENT_ID, GoogleAccounts, google_options
from tidings_sandbox.google.consents import EMAIL, PROFILE, SCOPE
from tidings_sandbox.google.keys import SigningKeys
from tidings_sandbox.google.replies import error, insufficient, not_found, unauthorised
from tidings_sandbox.google.service import GoogleService
from tidings_sandbox.google.units import Units

__all__ = [
    "CLIENT_ID",
    "EMAIL",
    "PROFILE",
    "SCOPE",
    "GoogleAccounts",
    "GoogleService",
    "SigningKeys",
    "Units",
    "error",
    "google_options",
    "insufficient",
    "not_found",
    "unauthorised",
]
