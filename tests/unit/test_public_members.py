"""What users rely on by name: the exact members of a source, and the documentation that the package refers to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blnk_auth import StaticToken, TokenSource
from blnk_auth._renewal.credential import Credential

ROOT = Path(__file__).parent.parent.parent

SOURCE = (
    "subject store_key state token renew adopt revoke forget headers "
    "atoken arenew aadopt arevoke aforget aheaders"
)  # fmt: skip
FILE = re.compile(r"(?<![\w/.-])(docs/[\w./-]+\.\w+|[A-Z]{4,}\.md)")


@pytest.mark.parametrize(("cls", "members"), [(TokenSource, SOURCE), (StaticToken, "token atoken headers aheaders")])
def test_a_source_has_exactly_the_members_that_were_decided(cls: type, members: str) -> None:
    """A further one is a decision, and a missing one breaks users."""
    assert [name for name in dir(cls) if not name.startswith("_")] == sorted(members.split())


def test_a_credential_has_at_most_six_members() -> None:
    """An auth class needs no more of a source, so that a fixed key and a scripted token are easy to write."""
    assert len([name for name in dir(Credential) if not name.startswith("_")]) <= 6


def referred_to() -> dict[str, str]:
    """Each file of the project that a module of the package names, with the module."""
    modules = [each for each in (ROOT / "blnk_auth").rglob("*") if each.suffix in {".py", ".html", ".toml"}]
    return {name: each.name for each in modules for name in FILE.findall(each.read_text("utf-8"))}


def test_the_package_refers_to_no_file_that_is_not_in_the_project() -> None:
    """In docstrings, comments and messages, which users read where the package is installed."""
    found = referred_to()
    assert "docs/reference/command-line.md" in found
    assert {name: module for name, module in found.items() if not (ROOT / name).is_file()} == {}
