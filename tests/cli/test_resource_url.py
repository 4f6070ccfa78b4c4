"""A URL in the place of a profile: `login`, `status`, `token`, `request`, `logout`, at an API that describes itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.canary.leaks import leaks
from support.command_line import CommandLine, browser_command
from support.sites import Reply, Site

from blnk_auth.testing.sandbox import Sandbox

PING = ("-d", '{"jsonrpc": "2.0", "id": 1, "method": "ping"}', "-H", "Accept: application/json, text/event-stream")


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line of a user without a configuration, and an API that they have never seen."""
    with Sandbox("mcp") as sandbox:
        command_line = CommandLine(tmp_path, sandbox)
        command_line.variables |= {
            "BLNK_AUTH_STORE": f"sqlite:///{tmp_path}/tokens.db",
            "BROWSER": browser_command(tmp_path),
        }
        yield command_line


def api(cli: CommandLine) -> str:
    assert cli.sandbox is not None
    return f"{cli.sandbox.origin}/mcp"


def refreshes(cli: CommandLine) -> int:
    assert cli.sandbox is not None
    return cli.sandbox.counts.refreshes


def test_one_sign_in_and_then_requests(cli: CommandLine) -> None:
    """No file, no client, no endpoint: the URL is all that a user types. A token that is rejected is renewed."""
    first = cli.run("request", *PING, api(cli))
    assert (first.exit_code, first.stdout) == (1, "")
    assert f"blnk-auth login --subject me {api(cli)}" in first.stderr
    signed_in = cli.run("login", api(cli))
    assert signed_in.exit_code == 0, signed_in.output
    assert signed_in.stdout.startswith("me: signed in at 127.0.0.1:")
    assert json.loads(cli.run("request", *PING, api(cli)).stdout)["result"] == {}
    assert cli.sandbox is not None
    cli.sandbox.revoke_access_tokens()
    assert json.loads(cli.run("request", *PING, api(cli)).stdout)["result"] == {}
    assert refreshes(cli) == 1
    assert leaks([signed_in.output, first.output], ["blnk_at_", "blnk_rt_"]) == []


def test_the_token_and_the_headers(cli: CommandLine) -> None:
    """For other programs; another user of the same API has another token."""
    assert cli.run("login", api(cli)).exit_code == 0
    assert cli.run("login", "--subject", "bob", "--no-browser", "--paste", api(cli), input="").exit_code == 1
    token = cli.run("token", api(cli)).stdout.strip()
    assert token.startswith("blnk_at_")
    assert cli.run("token", "--headers", api(cli), api(cli)).stdout == f"Authorization: Bearer {token}\n"
    assert cli.run("token", "--profile", api(cli)).stdout.strip() == token
    elsewhere = cli.run("token", "--headers", "https://other.example.com/", api(cli))
    assert (elsewhere.exit_code, elsewhere.stdout) == (2, "")
    bob = cli.run("token", "--json", "--subject", "bob", api(cli))
    assert json.loads(bob.stderr)["error"]["remedy"] == f"sign in with: blnk-auth login --subject bob {api(cli)}"


def test_status_lists_the_users_of_this_api(cli: CommandLine) -> None:
    """From the store: no server is asked, and nothing is registered. Another API of the server is not listed."""
    assert cli.sandbox is not None
    never = cli.run("status", api(cli))
    assert (never.exit_code, never.stdout) == (1, "")
    assert f"nobody has signed in at {api(cli)} yet" in never.stderr
    assert f"blnk-auth login --subject me {api(cli)}" in never.stderr
    assert cli.sandbox.requests == ()
    for subject in ("me", "bob"):
        assert cli.run("login", "--subject", subject, api(cli)).exit_code == 0
    asked = len(cli.sandbox.requests)
    listed = json.loads(cli.run("status", "--json", api(cli)).stdout)
    assert [(each["subject"], each["state"], each["resource"]) for each in listed] == [
        ("bob", "fresh", api(cli)),
        ("me", "fresh", api(cli)),
    ]
    shown = cli.run("status", "--subject", "bob", "--profile", api(cli))
    assert (shown.exit_code, "bob" in shown.stdout, "me\n" in shown.stdout) == (0, True, False)
    assert cli.run("status", "--subject", "eve", api(cli)).exit_code == 1
    assert cli.run("status", f"{api(cli)}/other").exit_code == 1
    assert len(cli.sandbox.requests) == asked


def test_logout_ends_the_sign_in(cli: CommandLine) -> None:
    """The tokens are revoked and deleted. Nothing is asked, and no client is registered, where nothing is stored."""
    never = cli.run("logout", api(cli))
    assert (never.exit_code, "nothing is stored for this URL" in never.stderr) == (1, True)
    assert cli.sandbox is not None
    assert cli.sandbox.requests == ()
    assert cli.run("login", api(cli)).exit_code == 0
    assert cli.run("logout", api(cli)).stdout == "me: revoked and forgotten\n"
    assert cli.run("token", api(cli)).exit_code == 1
    assert cli.run("logout", api(cli)).exit_code == 1
    assert cli.run("login", api(cli)).exit_code == 0
    assert cli.run("logout", "--forget", "--profile", api(cli)).stdout.startswith("me: forgotten here")


def test_the_profile_counts_where_there_is_one(cli: CommandLine) -> None:
    """`request` signs in to its URL only if there is no profile; with a URL as its profile, always."""
    assert cli.run("login", api(cli)).exit_code == 0
    cli.write(
        '[profiles.default]\nprovider = "custom"\nname = "acme"\ntoken_endpoint = "https://as.acme.test/token"\n'
        'api_origins = ["https://api.acme.test"]\nclient_id = "id"\nclient_secret = "${SANDBOX_SECRET}"\n'
        'subject = "me"\n'
    )
    refused = cli.run("request", *PING, api(cli))
    assert (refused.exit_code, "https://api.acme.test" in refused.stderr) == (2, True)
    assert cli.run("request", *PING, "--profile", api(cli), api(cli)).exit_code == 0
    assert cli.run("token", api(cli)).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("login", "--base-url", "https://x.test"), "--base-url has no meaning with a URL"),
        (("token", "--step-up", "raise"), "--step-up has no meaning with a URL"),
        (("login", "--profile", "bank"), "leave out --profile, or the URL"),
        (("login", "--device"), "--device has no meaning with a URL"),
    ],
)
def test_what_has_no_meaning_with_a_url_is_refused(cli: CommandLine, arguments: tuple[str, ...], problem: str) -> None:
    """And nothing is asked."""
    result = cli.run(*arguments, api(cli))
    assert (result.exit_code, result.stdout) == (2, "")
    assert problem in result.stderr
    assert cli.sandbox is not None
    assert not cli.sandbox.requests


def test_a_url_that_describes_no_sign_in(cli: CommandLine) -> None:
    """A request to it is sent without a token; there is nothing to sign in to."""
    with Site(lambda request: Reply(404) if "well-known" in request.path else Reply.json({"open": True})) as site:
        for command in ("login", "token"):
            result = cli.run(command, f"{site.origin}/open")
            assert (result.exit_code, result.stdout) == (2, "")
            assert "is not a protected resource" in result.stderr
            assert "blnk-auth init" in result.stderr
        result = cli.run("request", f"{site.origin}/open")
        assert (result.exit_code, json.loads(result.stdout)) == (0, {"open": True})
        assert all(request.authorization is None for request in site.received)


def test_a_token_of_its_own(cli: CommandLine) -> None:
    """`--itself` is for a client that was registered beforehand."""
    assert cli.sandbox is not None
    own = ("--itself", "--client-id", cli.sandbox.client_id)
    result = cli.run("token", *own, api(cli), BLNK_AUTH_CLIENT_SECRET=cli.sandbox.client_secret)
    assert result.stdout.startswith("blnk_at_"), result.output
