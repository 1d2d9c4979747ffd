"""What people write at the emulated GitHub."""

from __future__ import annotations

from typing import Final

MESSAGES: Final = (
    "Water the seedlings before noon",
    "Sharpen the shears\n\nThe old ones left ragged edges.",
    "Move the rain barrel to the north wall",
    "Count the swallows again",
    "Label every jar on the lower shelf",
    "Keep the lantern lit until the last boat is in",
    "Prune what grew over the path",
    "Write down which gate sticks",
    "Use the long ladder for the gutters",
    "Give the compass a spare needle",
)
FILES: Final = (
    "README.md",
    "garden.py",
    "lantern.py",
    "docs/almanac.md",
    "tests/test_tides.py",
    "shelf.toml",
)
ISSUES: Final = (
    "The tide table is an hour off",
    "Seed labels fade in the sun",
    "The gate does not latch in the wind",
    "Swallows are counted twice at dusk",
    "The lantern flickers when it rains",
    "Almanac shows the wrong moon",
    "Rain barrel overflows quietly",
)
BODIES: Final = (
    "Seen three times this week.\r\n\r\nIt starts **after dark** and stops by itself.",
    "Steps:\n1. Open the shed\n2. Wait for the wind\n3. Listen",
    "No idea since when. Everything else is fine.",
)
COMMENTS: Final = (
    "I can confirm this.",
    "It happens here too, but only on Thursdays.",
    "A drop of oil was enough. Thank you!",
    "Could it be the new hinge?",
    "I have a fix for that, one moment.",
)
PULLS: Final = (
    "Correct the tide table",
    "Paint the seed labels",
    "Oil the gate",
    "Shield the lantern from the rain",
    "Teach the almanac leap years",
)
RELEASES: Final = ("First light", "High water", "Long shadows", "Early frost", "Full larder")
BRANCHES: Final = ("tides", "seed-labels", "oiled-gate", "lantern-shield", "leap-years", "north-wall")
