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


# --- import ----------------------------------------------------------------------------------------------------------

PAIR = {"access_token": "at-s3cret", "refresh_token": "rt-s3cret"}
FILES = {
    "authlib": {**PAIR, "expires_at": 4_000_000_000},
    "requests-oauthlib": {**PAIR, "expires_at": 4_000_000_000.5},
    "httpx-auth": {"key": ["at-s3cret", 4_000_000_000, "rt-s3cret"]},
    "requests-auth": {"key": ["at-s3cret", 4_000_000_000, "rt-s3cret"]},
    "requests-oauth2client": {**PAIR, "expires_at": "2096-10-02T07:06:40+00:00"},
    "hand-written": {**PAIR, "created_at": 3_999_996_400_000, "expires_in": 3600},
}


@pytest.mark.parametrize("library", FILES)
def test_a_token_of_another_library_is_imported_once(blnk_auth_cli: CommandLine, library: str, tmp_path: Path) -> None:
    """The second import changes nothing and ends with 1; nothing is printed that is a secret."""
    file = tmp_path / "token.json"
    file.write_text(json.dumps(FILES[library]))
    arguments = ("store", "import", "--from", library, "--subject", "alice", str(file))
    first, second = blnk_auth_cli.run(*arguments), blnk_auth_cli.run(*arguments, "--json")
    assert (first.exit_code, second.exit_code) == (0, 1)
    assert json.loads(second.stdout)["stored"] is False
    assert "s3cret" not in first.output + second.output
    assert blnk_auth_cli.client().for_subject("alice").token().refresh_token == "rt-s3cret"


def test_a_token_of_several_is_chosen_by_its_key(blnk_auth_cli: CommandLine, tmp_path: Path) -> None:
    """Without a key that is there, nothing is stored."""
    file = tmp_path / "token.json"
    file.write_text(json.dumps({"one": ["at-1", 4e9, "rt-1"], "two": ["at-2", 4e9, "rt-2"]}))
    arguments = ("store", "import", "--from", "httpx-auth", "--subject", "alice", str(file))
    for further in ((), ("--key", "three")):
        refused = blnk_auth_cli.run(*arguments, *further)
        assert (refused.exit_code, refused.stdout) == (2, "")
    assert blnk_auth_cli.run(*arguments, "--key", "two").exit_code == 0
    assert blnk_auth_cli.client().for_subject("alice").token().access_token == "at-2"


def test_a_file_that_cannot_be_read_is_reported(blnk_auth_cli: CommandLine, tmp_path: Path) -> None:
    """With what to pass; a key where there are none is refused too."""
    file = tmp_path / "token.json"
    file.write_text(json.dumps(PAIR)[:-9])
    arguments = ("store", "import", "--from", "authlib", "--subject", "alice", str(file))
    refused = blnk_auth_cli.run(*arguments)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("blnk-auth: FILE is not a JSON object; name the file")
    file.write_text(json.dumps(PAIR))
    assert blnk_auth_cli.run(*arguments, "--key", "x").exit_code == 2
    assert blnk_auth_cli.run(*arguments[:-1], "none.json").exit_code == 2
    file.write_text("{}")
    assert blnk_auth_cli.run(*arguments).exit_code == 2
    empty = blnk_auth_cli.run("store", "import", "--from", "httpx-auth", "--subject", "alice", str(file))
    assert (empty.exit_code, "FILE has no token;" in empty.stderr) == (2, True)
    assert blnk_auth_cli.client().for_subject("alice").state == "missing"


@pytest.mark.parametrize("written", ["", "--from=requests-oauth2clien", "--from=s3cret-2Kx9qPw7Lm"])
def test_a_library_that_is_not_known_is_answered_with_whole_names(offline: CommandLine, written: str) -> None:
    """What may be a secret is cut, and a name to choose is not, although it has a digit."""
    refused = offline.run("store", "import", *filter(None, [written]), "-")
    assert refused.exit_code == 2
    assert "requests-oauth2client" in refused.stderr
    assert "2Kx9qPw7Lm" not in refused.stderr
