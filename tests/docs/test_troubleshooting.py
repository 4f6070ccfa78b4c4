"""docs/how-to/troubleshooting.md quotes messages that exist, and names every class of error and reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from blnk_auth import errors

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text("utf-8")

_QUOTED = re.compile(r"`([^`]+)`")
_NOT_A_MESSAGE = {"reason", "outcome_unknown", "unauthorized_client", *get_args(errors.SignInReason)}


def quoted_messages() -> list[str]:
    """What the first column of each table quotes."""
    cells = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    return [part for cell in cells for part in _QUOTED.findall(cell) if part not in _NOT_A_MESSAGE]


def known_messages() -> str:
    """The text of everything that the library may show, with its placeholders."""
    sources = [path.read_text("utf-8") for path in sorted((ROOT / "blnk_auth").rglob("*.py"))]
    # A message is often split over several lines of source.
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources))


@pytest.mark.parametrize("message", quoted_messages())
def test_a_quoted_message_exists(message: str) -> None:
    """Each part of it, between the dots that stand for what differs."""
    text = known_messages()
    parts = [part.strip() for part in message.split("...") if part.strip()]
    assert [part for part in parts if not _is_known(part, text)] == []


def _is_known(part: str, text: str) -> bool:
    # The status and the code of a response are not in the source.
    words = re.sub(r"answered \d+( \w+)?$", "answered", part)
    return words in text


def test_every_class_of_error_and_every_reason_is_there() -> None:
    """A reader finds the heading that their traceback names."""
    classes = ("SignInRequired", "TemporarilyUnavailable", "ConfigurationError", "StoreError", "ProtocolError")
    assert [name for name in classes if f"## {name}" not in PAGE] == []
    assert [reason for reason in get_args(errors.SignInReason) if f"`{reason}`" not in PAGE] == []
