"""How long a test waits before it fails: the one limit of all tests.

Used by everything here that waits, and by tests that wait themselves. Only a hang uses it up: it leaves room for a
machine that does ten other things, and costs nothing where all is well. A test never lets it pass, and never checks
that something took less than a time of its own. Below `faulthandler_timeout`, so that the test reports what it waited
for.
"""

from __future__ import annotations

PATIENCE = 60.0
"""Seconds."""
