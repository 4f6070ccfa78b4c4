"""The version, once: the build reads it from here, so a checkout and its wheel cannot disagree."""

from __future__ import annotations

__version__ = "0.1.0"
