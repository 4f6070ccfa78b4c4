"""`blnk-auth store`: with the store of the profile, or with those that are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import CommandLine

from blnk_auth import SQLiteStore


@pytest.fixture
def signed_in(blnk_auth_cli: CommandLine) -> CommandLine:
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice")
    return blnk_auth_cli


def test_without_a_url_it_is_the_store_of_the_profile(signed_in: CommandLine) -> None:
    """For every command, as for all others with a profile."""
    keys = json.loads(signed_in.run("store", "list", "--json").stdout)["keys"]
    assert keys == [signed_in.client().for_subject("alice").store_key]
    assert json.loads(signed_in.run("store", "check", "--json").stdout)["sound"] == 1
    assert "has no tables to create" in signed_in.run("store", "migrate").stdout
    target = f"sqlite:///{signed_in.directory}/copy.db"
    copied = json.loads(signed_in.run("store", "copy", target, "--json").stdout)
    assert (copied["copied"], copied["complete"]) == (1, True)
    assert list(SQLiteStore(signed_in.directory / "copy.db").keys()) == keys


def test_an_option_selects_it_too(signed_in: CommandLine) -> None:
    """--profile, --config and --store, as everywhere."""
    url = f"sqlite:///{signed_in.directory}/tokens.db"
    signed_in.configure(store='"memory:"')
    assert json.loads(signed_in.run("store", "list", "--json").stdout)["keys"] == []
    assert len(json.loads(signed_in.run("store", "list", "--json", "--store", url).stdout)["keys"]) == 1
    refused = signed_in.run("store", "list", "--profile", "prod")
    assert refused.exit_code == 2
    assert refused.stderr.endswith("has no profile 'prod'; it has: default; or name the store by its URL\n")


def test_a_url_needs_no_configuration(offline: CommandLine) -> None:
    """A store that is named is opened on a machine without a profile; without one, the message has both ways."""
    assert offline.run("store", "list", "memory:").exit_code == 0
    refused = offline.run("store", "list")
    assert refused.exit_code == 2
    assert refused.stderr.endswith("write it with: blnk-auth init; or name the store by its URL\n")


@pytest.mark.parametrize("urls", [(), ("memory:", "memory:", "memory:")])
def test_a_copy_needs_a_place_to_copy_to(signed_in: CommandLine, urls: tuple[str, ...]) -> None:
    """None, or three of them, end with 2 and what to write."""
    refused = signed_in.run("store", "copy", *urls)
    assert refused.exit_code == 2
    assert "name the store to copy to by its URL" in refused.stderr


@pytest.mark.parametrize(("urls", "named"), [(("tokens.db", "memory:"), "FROM"), (("memory:", "tokens.db"), "TO")])
def test_a_copy_names_the_url_that_is_wrong(offline: CommandLine, urls: tuple[str, str], named: str) -> None:
    """As the help calls it: the two may look alike."""
    refused = offline.run("store", "copy", *urls)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"blnk-auth: {named}: a string without a colon does not name a kind of store; ")


def test_a_store_that_does_not_exist_is_not_made(blnk_auth_cli: CommandLine, tmp_path: Path) -> None:
    """Listing and checking create nothing; the message names the file."""
    for settings in ({"store": f'"sqlite:///{tmp_path}/none.db"'}, {}):
        blnk_auth_cli.configure(**settings)
        if not settings:
            file = blnk_auth_cli.file
            file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("store")))
        for command in ("list", "check"):
            refused = blnk_auth_cli.run("store", command)
            assert refused.exit_code == 2
            assert "there is no " in refused.stderr
    assert list(tmp_path.rglob("*.db")) == []
