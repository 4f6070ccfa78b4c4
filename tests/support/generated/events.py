"""The events of `docs/reference/events.md`, from the docstring of `Event` and the level at which each is logged.

Used by `support.reference`. It promises every name of `EventName`, each with its meaning.
"""

from __future__ import annotations

import re
from typing import get_args

from support.generated.docstrings import docstring_of
from support.generated.markdown import listing, prose

from blnk_auth import Event, EventName
from blnk_auth.events import _WARNINGS  # pyright: ignore[reportPrivateUsage]

_ITEM = re.compile(r"^((?:`\w+`(?:, )?)+): (.*)$")


def names() -> list[str]:
    """The names of all events."""
    return list(get_args(EventName))


def level(name: str) -> str:
    """The level at which the log `blnk_auth` has it."""
    return "WARNING" if name in _WARNINGS else "DEBUG"


def event(name: str) -> str:
    """What is written below the heading of an event."""
    meanings: dict[str, str] = {}
    for item in docstring_of(Event).items:
        listed = _ITEM.match(item)
        assert listed is not None, item
        meanings |= dict.fromkeys(re.findall(r"`(\w+)`", listed[1]), listed[2])
    meaning = meanings[name]
    return f"{prose(meaning[0].upper() + meaning[1:])} Log level: {level(name)}."


def event_fields() -> str:
    """The list of the fields of `Event`."""
    return listing((f"**`{name}`**", prose(text)) for name, text in docstring_of(Event).entries.items())
