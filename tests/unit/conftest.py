"""No time limit for one example of a property."""

from __future__ import annotations

from hypothesis import settings

# A machine that is busy with something else must not fail a property, so an example has no time limit.
settings.register_profile("blnk_auth", deadline=None)
settings.load_profile("blnk_auth")
