"""`blnk-auth client-metadata`: a document that servers accept, or an error before anything is written."""

from __future__ import annotations

import json

import pytest
from support.command_line import CommandLine

URL = "https://app.example.com/oauth/client.json"
NEEDED = ("--client-id", URL, "--client-name", "Acme", "--redirect-uri", "http://127.0.0.1:8765/callback")
DOCUMENT = {
    "client_id": URL,
    "client_name": "Acme",
    "redirect_uris": ["http://127.0.0.1:8765/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}


def test_the_document_is_printed(offline: CommandLine) -> None:
    """And nothing else, so that it can be piped; it needs no profile."""
    result = offline.run("client-metadata", *NEEDED)
    assert (result.exit_code, result.stderr, json.loads(result.stdout)) == (0, "", DOCUMENT)


def test_the_document_is_written_to_a_file(offline: CommandLine) -> None:
    """With all that it may have. The terminal shows where to publish it, and how it is used."""
    path = offline.directory / "client.json"
    further = {
        "client_uri": "https://app.example.com",
        "logo_uri": "https://app.example.com/logo.png",
        "tos_uri": "https://app.example.com/terms",
        "policy_uri": "https://app.example.com/privacy",
        "jwks_uri": "https://app.example.com/jwks.json",
        "scope": "read write",
    }
    options = [each for name, value in further.items() for each in (f"--{name.replace('_', '-')}", value)]
    options += ["--contact", "a@example.com", "--contact", "b@example.com", "--output", str(path)]
    result = offline.run("client-metadata", *NEEDED, *options)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"Publish it at {URL}" in result.stderr
    contacts = ["a@example.com", "b@example.com"]
    expected = {**DOCUMENT, **further, "contacts": contacts, "token_endpoint_auth_method": "private_key_jwt"}
    assert json.loads(path.read_text("utf-8")) == expected


def test_a_file_is_replaced_only_if_that_is_asked_for(offline: CommandLine) -> None:
    """--force replaces it; what cannot be written is an error that names the file."""
    path = offline.directory / "client.json"
    path.write_text("mine", "utf-8")
    result = offline.run("client-metadata", *NEEDED, "--output", str(path))
    assert (result.exit_code, path.read_text("utf-8")) == (2, "mine")
    assert "--force" in result.stderr
    assert offline.run("client-metadata", *NEEDED, "--output", str(path), "--force").exit_code == 0
    assert json.loads(path.read_text("utf-8")) == DOCUMENT
    result = offline.run("client-metadata", *NEEDED, "--output", str(path / "below"))
    assert (result.exit_code, str(path) in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("--client-id", "https://app.example.com"), "client_id has no path"),
        (("--client-id", "http://app.example.com/client.json"), "client_id does not begin with https://"),
        (("--client-id", f"{URL}#part"), "client_id has a fragment"),
        (("--redirect-uri", "http://app.example.com/callback"), "redirect_uris uses http"),
        (("--redirect-uri", "javascript:alert(1)"), "redirect_uris must be an absolute URI"),
        (("--client-name", " "), "client_name must be"),
        (("--logo-uri", "logo.png"), "logo_uri must be"),
    ],
)
def test_a_document_that_servers_refuse_is_not_written(
    offline: CommandLine, arguments: tuple[str, str], shown: str
) -> None:
    """The error names the member."""
    path = offline.directory / "client.json"
    result = offline.run("client-metadata", *NEEDED, *arguments, "--output", str(path))
    assert (result.exit_code, path.exists()) == (2, False)
    assert shown in result.stderr


@pytest.mark.parametrize("missing", ["--client-id", "--client-name", "--redirect-uri"])
def test_what_every_document_needs_is_asked_for(offline: CommandLine, missing: str) -> None:
    """The id, the name and the redirect URIs."""
    at = NEEDED.index(missing)
    result = offline.run("client-metadata", *NEEDED[:at], *NEEDED[at + 2 :])
    assert (result.exit_code, missing in result.stderr) == (2, True)


def test_what_some_servers_refuse_is_a_warning(offline: CommandLine) -> None:
    """A loopback redirect URI without a port, and more than five kilobytes. The document is written all the same."""
    many = [each for n in range(50) for each in ("--redirect-uri", f"https://app.example.com/{'x' * 100}{n}")]
    result = offline.run("client-metadata", *NEEDED, "--redirect-uri", "http://127.0.0.1/other", *many[:-4])
    assert (result.exit_code, len(json.loads(result.stdout)["redirect_uris"])) == (0, 50)
    assert "http://127.0.0.1/other has no port" in result.stderr
    assert "such as http://127.0.0.1:8765/other" in result.stderr
    assert "more than 5120 bytes" in result.stderr


def test_a_redirect_uri_that_is_listed_with_a_port_too_needs_no_warning(offline: CommandLine) -> None:
    """The example of the how-to page lists both, and so do the programs of this library."""
    result = offline.run("client-metadata", *NEEDED, "--redirect-uri", "http://127.0.0.1/callback")
    assert (result.exit_code, result.stderr) == (0, "")
