"""The metadata that an index shows, the files of the wheel, and what keeps a checkout from being released."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from support.limits import PATIENCE
from support.scripts import script

import blnk_auth

ROOT = Path(__file__).parents[2]
PACKAGE = Path(blnk_auth.__file__).parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


HOOK, RELEASE = script("hatch_build.py"), script("tools/release.py")


def test_the_metadata_is_complete() -> None:
    """What people search for, and what a package index lists."""
    project = PROJECT["project"]
    assert {"oauth2", "refresh-token", "httpx", "requests", "open-banking", "client-credentials"} <= {
        *project["keywords"]
    }
    versions = {each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each}
    assert versions == {"3.11", "3.12", "3.13"}
    assert project["requires-python"] == ">=3.11"
    assert project["license-files"] == ["LICENSE"]
    assert "urls" in project["dynamic"]


def test_without_a_public_address_there_are_no_urls_and_links_are_relative() -> None:
    """One setting holds it, and both are made from it."""
    assert PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"] == {"public_address": ""}
    assert HOOK.urls("") == {}
    assert HOOK.linked("[a](docs/a.md)", "") == "[a](docs/a.md)"


def test_a_public_address_makes_urls_and_links() -> None:
    """Links within the page, and those to other sites, stay."""
    address = "https://code.example/acme/blnk_auth"
    assert set(HOOK.urls(address)) == {"Homepage", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith(address) for url in HOOK.urls(address).values())
    text = "[a](docs/a.md#b) [c](#c) [d](https://d.example)"
    assert HOOK.linked(text, address) == f"[a]({address}/blob/main/docs/a.md#b) [c](#c) [d](https://d.example)"


def named_pages() -> list[str]:
    """The pages of the documentation that the package names, in messages and docstrings."""
    text = "\n".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    return sorted({*re.findall(r"docs/[a-z-]+/[a-z-]+\.md", text)})


@pytest.mark.parametrize("page", named_pages())
def test_a_page_that_the_package_names_is_installed_with_it(page: str) -> None:
    """A user who reads the name in a message finds the file beside the package."""
    # A checkout has it one folder higher.
    is_wheel = os.environ.get("BLNK_AUTH_TEST_WHEEL") == "1"
    assert (PACKAGE / page).exists() or (not is_wheel and (PACKAGE.parent / page).exists())


def test_the_installed_distribution_is_this_version() -> None:
    """The wheel is built from `__version__`, so both agree."""
    if os.environ.get("BLNK_AUTH_TEST_WHEEL") == "1":
        assert metadata.version("blnk-auth") == blnk_auth.__version__


@pytest.mark.real
def test_an_index_would_show_what_was_built() -> None:
    """The README renders, and the metadata is valid; the packages that `make test` has just built are looked at."""
    if os.environ.get("BLNK_AUTH_TEST_WHEEL") != "1":
        return
    packages = sorted(str(path) for path in (ROOT / "dist").iterdir() if path.suffix != ".json")
    assert [Path(path).suffix for path in packages] == [".whl", ".gz"]
    command = [sys.executable, "-m", "twine", "check", "--strict", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("changed", "branch", "changelog", "found"),
    [
        ("", "main", "## [1.0.0] - 2027-01-31\n", []),
        (" M README.md", "main", "## [1.0.0] - 2027-01-31\n", ["the working tree has changes"]),
        ("", "fix", "## [1.0.0] - 2027-01-31\n", ["this is the branch fix"]),
        ("", "main", "## [1.0.0] (not released yet)\n", ["CHANGELOG.md has no heading"]),
        ("", "main", "## [1.0.0rc1] - 2027-01-31\n", ["CHANGELOG.md has no heading"]),
    ],
)
def test_what_keeps_a_checkout_from_being_released(changed: str, branch: str, changelog: str, found: list[str]) -> None:
    """Each problem with what to do about it."""
    problems = RELEASE.problems("1.0.0", changelog, changed, branch)
    assert [problem[: len(begin)] for problem, begin in zip(problems, found, strict=True)] == found


def test_the_script_publishes_nothing() -> None:
    """It prints the commands that do, and runs others."""
    run = re.findall(r"subprocess\.run\((.*?)\)", (ROOT / "tools" / "release.py").read_text("utf-8"), re.DOTALL)
    assert run
    assert not [call for call in run if "upload" in call or "push" in call or "tag" in call]
