"""The pictures of docs/pictures/: each is small, on a page with a text for those who do not see it, and private."""

from __future__ import annotations

import re

import pytest
from support.command_line import SECRET
from support.pictures import PICTURES
from support.prose import ROOT

from blnk_auth.cli.checks import CHECKS

PAGES = {path: path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md")}
NAMES = sorted(path.name for path in PICTURES.iterdir())
MOST_BYTES = 64 * 1024


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_small_and_has_a_text_on_its_page(name: str) -> None:
    """Where it is shown, its text is a sentence, not a caption of one word."""
    assert (PICTURES / name).stat().st_size <= MOST_BYTES
    shown = re.compile(rf"!\[([^\]]*)\]\((?:\.\./)*pictures/{re.escape(name)}(?:#only-(?:light|dark))?\)")
    texts = [text for page in PAGES.values() for text in shown.findall(page)]
    assert texts, "no page shows it"
    assert [text for text in texts if len(text.split()) < 8] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".svg")])
def test_a_drawing_shows_no_secret_no_machine_and_loads_nothing(name: str) -> None:
    """The home directories, temporary files and secrets of those who made it; fonts and scripts of other servers."""
    svg = (PICTURES / name).read_text("utf-8").replace("&#160;", " ")
    assert SECRET not in svg
    assert re.findall(r"/(?:home|root|work|Users|tmp)/(?!acme/)\S*|blnk_[ar]t_\w+", svg) == []
    assert re.findall(r"(?:href|src|url)\W*https?:|<script|@import|@font-face", svg) == []


@pytest.mark.parametrize("name", [name for name in NAMES if "-light." in name])
def test_a_picture_of_a_page_has_a_dark_twin(name: str) -> None:
    """A reader in the dark is not dazzled."""
    assert name.replace("-light.", "-dark.") in NAMES


def test_the_picture_of_doctor_lists_every_check() -> None:
    """A check that was added or renamed: make pictures."""
    svg = (PICTURES / "doctor.svg").read_text("utf-8")
    assert [name for name, _ in CHECKS if f">{name}" not in svg] == []
