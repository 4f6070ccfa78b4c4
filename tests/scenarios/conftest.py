"""The world of a scenario: a sandbox, a clock that moves only when told, and one signed-in person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from blnk_auth import BlnkCloud, MemoryStore, OAuthClient, Token, TokenSource
from blnk_auth.events import Event
from blnk_auth.record import Grant
from blnk_auth.stores.base import TokenStore
from blnk_auth.testing import Clock, Sandbox
