"""A reader can run the examples that need a sandbox: their page has the commands that start one, and it fits them."""

from __future__ import annotations

import re
from pathlib import Path

from docs.test_readme import DOCUMENTS, ELSEWHERE, HOW_TO, python_blocks

from blnk_auth._protocol.redirect_uris import accepts
from blnk_auth.cli.sandbox import command

SECTION = "test-with-the-sandbox.md#the-examples-of-these-pages"
DEFAULT = {each.name: each.default for each in command.params}
VARIABLES = {
    "BLNK_URL": f"http://127.0.0.1:{DEFAULT['port']}",
    "BLNK_CLIENT_ID": DEFAULT["client_id"],
    "BLNK_CLIENT_SECRET": DEFAULT["client_secret"],
}

_EXPORT = re.compile(r"^export (BLNK_URL=.*)$", re.MULTILINE)


def pages() -> dict[Path, str]:
    """The source of each page's examples that need a sandbox, in one text."""
    blocks = {path: python_blocks(path.read_text("utf-8")) for path in {*DOCUMENTS, *ELSEWHERE}}
    return {
        path: "\n".join(block.source for block in found)
        for path, found in blocks.items()
        if any(block.needs_sandbox for block in found)
    }


def test_each_page_describes_how_to_start_its_sandbox() -> None:
    """It has the commands itself, or links to the section that has them."""
    texts = {path.name: path.read_text("utf-8") for path in pages()}
    assert len(texts) > 10
    assert [name for name, text in texts.items() if not _EXPORT.search(text) and SECTION not in text] == []


def test_the_variables_are_those_of_a_sandbox_without_options() -> None:
    """On each page that sets them."""
    paths = [*pages(), HOW_TO / "test-with-the-sandbox.md"]
    exported = [line for path in paths for line in _EXPORT.findall(path.read_text("utf-8"))]
    assert len(exported) > 1
    assert [line for line in exported if dict(each.split("=") for each in line.split()) != VARIABLES] == []


def test_users_are_redirected_to_where_the_sandbox_lets_them() -> None:
    """An example that shows an address and asks for another one uses a redirect URI that needs no option."""
    wrong = {
        (path.name, uri)
        for path, source in pages().items()
        if "input(" in source
        for uri in re.findall(r'redirect_uri="([^"]+)"', source)
        if not accepts(DEFAULT["redirect_uri"], uri)
    }
    assert wrong == set()
