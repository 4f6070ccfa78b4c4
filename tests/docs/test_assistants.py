"""What language models read: the page for coding assistants, llms.txt, and the pages as Markdown beside the site.

test_readme.py runs the example of the page, and test_site.py compares llms.txt with the pages.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from support.prose import ROOT
from support.scripts import script

import blnk_auth
import blnk_auth.testing

LLMS = script("tools/llms.py")
DOCS = ROOT / "docs"
PAGE = (DOCS / LLMS.FIRST).read_text("utf-8")

_LISTED = re.compile(r"^- \[[^\]]+\]\(([^)]+)\): (.+)$", re.MULTILINE)


def named() -> set[str]:
    """Each identifier that the table of the page puts in backticks; of a call, the name that is called."""
    table = PAGE[PAGE.index("| For | Names |") :]
    return {code.partition("(")[0].rpartition(".")[2].rstrip("=") for code in re.findall(r"`([^`]+)`", table)}


def test_the_page_for_assistants_fits_on_a_screen() -> None:
    """An assistant reads a longer page once, and not before every change."""
    assert len(PAGE.splitlines()) <= 60


def test_the_page_for_assistants_has_every_public_name_and_no_other() -> None:
    """An assistant that is given the page needs to invent no name, and finds none that does not exist."""
    owners = (blnk_auth.OAuthClient, blnk_auth.ProtectedResource, blnk_auth.TokenSource, blnk_auth.testing)
    exist = {*blnk_auth.__all__, *(name for owner in owners for name in dir(owner))}
    of_others = {"auth", "ClientSession", "a", "testing"}
    assert {*blnk_auth.__all__} - named() - {"__version__"} - {*re.findall(r"\w+", PAGE)} == set()
    assert named() - exist - of_others == set()


def test_the_page_for_assistants_has_every_extra() -> None:
    """And no other: `pip` only warns of one that does not exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (line,) = (line for line in PAGE.splitlines() if line.startswith("**Install**"))
    assert re.findall(r"`([a-z0-9-]+)`", line) == sorted({*project["optional-dependencies"]} - {"all"})


def test_llms_txt_has_the_shape_of_the_convention() -> None:
    """A title, a summary, and sections. Each line of a section is a link to Markdown, and a sentence of that page."""
    lines = (DOCS / "llms.txt").read_text("utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert lines[2].startswith("> ")
    begin = next(number for number, line in enumerate(lines) if line.startswith("## "))
    assert [line for line in lines[begin:] if line and not line.startswith("## ") and not _LISTED.match(line)] == []
    listed = _LISTED.findall("\n".join(lines))
    assert sorted(page for page, _ in listed) == sorted(
        path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")
    )
    assert [sentence for _, sentence in listed if not sentence.endswith(".")] == []


def test_the_built_site_has_each_page_as_markdown(tmp_path: Path) -> None:
    """Where llms.txt links to, with what the page includes; and nearly all of it in one file, the contract first."""
    LLMS.publish(tmp_path)
    texts = {page: (tmp_path / page).read_text("utf-8") for page, _ in _LISTED.findall(LLMS.index())}
    left = re.compile(r"--8<--|^::: |<!-- test", re.MULTILINE)
    assert [page for page, text in texts.items() if left.search(text)] == []
    assert "blnk_auth.OAuthClient(" in texts["index.md"]
    assert "for_token_exchange(" in texts["api/client.md"]
    everything = (tmp_path / "llms-full.txt").read_text("utf-8")
    assert everything.startswith(f"<!-- {LLMS.FIRST} -->\n\n# For coding assistants\n")
    assert [page for page in texts if not page.startswith("api/") and LLMS.title(page) not in everything] == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\nWhat it is.\nAnd more.", "What it is."),
        ("\n<!-- a mark -->\nUse [this](a.md) for v1.2 of `y`: 1 time.\nMore.", "Use this for v1.2 of `y`: 1 time."),
        ("\n```sh\nls.\n```\n\nIt has these:\n\n- one.", "It has these."),
        ("\n| a table. |\n| --- |\n\n- a list.\n\nWords over\ntwo lines. More.", "Words over two lines."),
        ("\n- a list.\n\n## Below\n\nA sentence.", None),
    ],
)
def test_the_first_sentence_of_a_page(
    text: str, sentence: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first prose below the heading; a page without any fails by its name."""
    (tmp_path / "a.md").write_text(f"# Heading\n{text}\n")
    monkeypatch.setattr(LLMS, "DOCS", tmp_path)
    if sentence is None:
        with pytest.raises(ValueError, match=r"docs/a\.md has no sentence"):
            LLMS.first_sentence("a.md")
    else:
        assert LLMS.first_sentence("a.md") == sentence
