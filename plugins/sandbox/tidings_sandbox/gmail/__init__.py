"""The emulated Gmail."""

from tidings_sandbox.gmail.service import PULL_SUBSCRIPTION, SUBSCRIPTION, TOPIC, Gmail

__all__ = ["PULL_SUBSCRIPTION", "SUBSCRIPTION", "TOPIC", "Gmail"]
