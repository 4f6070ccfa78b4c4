"""The page about aiohttp: each row names a test that exists, and each test that measures is in a row."""

from __future__ import annotations

import re
from pathlib import Path

from support import failures

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "aiohttp.md"
MEASURED = "scenarios/test_aiohttp_middlewares.py"

_ROW = re.compile(rf"^\| [^|]+ \| [^|]+ \| `{re.escape(MEASURED)}` (test_\w+) \|$", re.MULTILINE)


def test_the_table_has_every_measurement() -> None:
    """If a test was renamed: name it here as it is called now."""
    measured = {name for path, name, _ in failures.tests() if path == MEASURED}
    assert len(measured) > 10
    assert sorted(_ROW.findall(PAGE.read_text("utf-8"))) == sorted(measured)
