from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
import rich.console
from support.canary.leaks import leaks
from support.command_line import SECRET, CommandLine, command
from support.limits import PATIENCE
from support.providers import DAY
from support.shared_servers import fresh_database

from blnk_auth import Token
from blnk_auth._protocol.demands import Demand, Demands
from blnk_auth.cli.grant_status import GrantStatus, status_table
from blnk_auth.cli.terminal import printable, time_left
from blnk_auth.testing.sandbox import Fault, Sandbox


def statuses(command_line: CommandLine) -> dict[str | None, dict[str, Any]]:
    return {each["subject"]: each for each in json.loads(command_line.run("status", "--json").stdout)}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (0.5, "over"),
        (-3, "over"),
        (1, "1s"),
        (61, "1m 1s"),
        (3600, "1h"),
        (3661, "1h 1m"),
        (86_400 * 3 + 7200 + 5, "3d 2h"),
        (86_405, "1d"),
    ],
)
def test_a_time_is_shown_in_its_two_largest_units(seconds: float | None, text: str) -> None:
    """A length of time is rounded down to at most two neighbouring units."""
    assert time_left(seconds) == text


def test_nothing_shown_steers_a_terminal() -> None:
    """Escape sequences in what others chose are shown, not obeyed."""
    assert printable("a\x1b[31mb\nc") == "a?[31mb?c"


def test_everybody_is_listed_with_what_will_happen(blnk_auth_cli: CommandLine) -> None:
    """The status of each subject of this client shows how long the tokens live and why one has ended."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "alice")
    blnk_auth_cli.give(client, "bob/2", refresh_expires_at=time.time() + 5 * DAY)
    blnk_auth_cli.give(client, "carol", expires_at=time.time() - 5)
    blnk_auth_cli.give(client, "dave")
    blnk_auth_cli.end(client, "dave")
    client.start_authorization("nobody")
    found = statuses(blnk_auth_cli)
    assert {subject: each["state"] for subject, each in found.items()} == {
        "alice": "fresh",
        "bob/2": "fresh",
        "carol": "expired",
        "dave": "sign_in_required",
    }
    assert found["alice"]["refresh_expires_in"] is None
    assert found["bob/2"]["refresh_expires_in"] == pytest.approx(5 * DAY, abs=60)
    assert found["dave"]["last_error"] == "the provider ended the grant"
    shown = blnk_auth_cli.run("status").stdout
    assert "sign in required: the provider ended the grant" in shown
    assert "4d 23h" in shown
    assert leaks([shown, blnk_auth_cli.run("status", "--json").stdout], ["blnk_at_", "blnk_rt_"]) == []


def test_what_the_api_has_asked_for_is_shown(blnk_auth_cli: CommandLine) -> None:
    """For readers and for scripts, until the user signs in again; the state stays as it is."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "alice")
    blnk_auth_cli.give(client, "bob")
    for subject, demand in (
        ("alice", Demand("step_up", "insufficient_scope", "data:read data:write", "loa3", 60.0)),
        ("bob", Demand("consent_ended")),
    ):
        key = client.for_subject(subject).store_key
        record = client.store.load(key)
        assert record is not None
        data = {**record.data, "demands": Demands().including(demand).to_data()}
        client.store.save(key, data, expected=record.version)
    found = statuses(blnk_auth_cli)
    assert (found["alice"]["state"], found["bob"]["state"]) == ("fresh", "fresh")
    asked = {"scope": "data:read data:write", "acr_values": "loa3", "max_age": 60.0}
    assert (found["alice"]["step_up"], found["alice"]["consent_ended"]) == (asked, False)
    assert (found["bob"]["step_up"], found["bob"]["consent_ended"]) == (None, True)
    shown = " ".join(blnk_auth_cli.run("status").stdout.split())
    for words in ("asks for", "data:write", "loa3", "consent has"):
        assert words in shown
    blnk_auth_cli.give(client, "alice")
    assert statuses(blnk_auth_cli)["alice"]["step_up"] is None


@pytest.mark.parametrize(
    ("days", "shown"), [(30, None), (20, "certificate expires in 19d"), (-1, "certificate has expired"), (None, None)]
)
def test_the_end_of_the_clients_certificate_is_shown(days: float | None, shown: str | None) -> None:
    """Below the table, from three weeks before it on."""
    at = None if days is None else time.time() + days * DAY
    output = io.StringIO()
    table = status_table([GrantStatus("alice", "acme", "fresh", certificate_expires_at=at)])
    rich.console.Console(file=output, width=80).print(table)
    text = " ".join(output.getvalue().split())
    assert (shown is None and "certificate" not in text) or (shown is not None and shown in text)


def test_tokens_that_were_exchanged_are_listed(blnk_auth_cli: CommandLine) -> None:
    """Also those of a process that can present a token again, which this one cannot: nobody has to sign in."""
    blnk_auth_cli.configure("flinks")
    client = blnk_auth_cli.client()
    exchanged = client.for_token_exchange(
        subject_token="token",
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
        subject="alice",
        audience="orders",
    )
    exchanged.adopt(Token("at", expires_at=time.time() - 10))
    client.for_assertion(assertion="assertion").adopt(Token("at", expires_at=time.time() + 3000))
    found = statuses(blnk_auth_cli)
    assert (found["alice"]["obtained_by"], found["alice"]["state"]) == ("token_exchange", "expired")
    assert (found[None]["obtained_by"], found[None]["state"]) == ("jwt_bearer", "fresh")
    shown = " ".join(blnk_auth_cli.run("status").stdout.split())
    assert "by token" in shown
    assert "an assertion" in shown


def test_idle_death_is_foretold(blnk_auth_cli: CommandLine) -> None:
    """Where a provider's unused refresh tokens expire, the status shows when."""
    blnk_auth_cli.configure("flinks")
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice", idle=10 * DAY)
    assert statuses(blnk_auth_cli)["alice"]["refresh_expires_in"] == pytest.approx(20 * DAY, abs=60)


def test_a_record_that_cannot_be_read_does_not_hide_the_others(blnk_auth_cli: CommandLine) -> None:
    """A broken record is listed as unreadable, beside those that are well."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "alice")
    client.store.save(client.for_subject("bob").store_key, {"schema": 1}, expected=None)
    found = statuses(blnk_auth_cli)
    assert (found["alice"]["state"], found["bob"]["state"]) == ("fresh", "unreadable")
    assert "cannot be read" in found["bob"]["last_error"]


LONG = GrantStatus(
    "0198f3a2-5b1c-7cc1-9d44-0123456789ab@tenant.example.com",
    "some-long-provider-name",
    "sign_in_required",
    "https://www.googleapis.com/auth/userinfo.email openid offline_access",
    None,
    None,
    "https://mcp.example.com/a/very/long/resource",
    "urn:audience:of:the:client",
    "the refresh token expired",
)


def test_the_table_fits_80_columns() -> None:
    """Long text is folded: nothing is cut off, and the times stay on one line."""
    output = io.StringIO()
    # The times count from now, and not from when the tests were collected.
    now = time.time()
    shown = replace(LONG, expires_at=now + DAY - 1, refresh_expires_at=now + 300 * DAY - 1)
    rich.console.Console(file=output, width=80).print(status_table([shown]))
    lines = [line.rstrip() for line in output.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    assert re.search(r"23h 59m +299d 23h +sign in", output.getvalue())
    # Each column, read from top to bottom.
    starts = [0, *(found.end() for found in re.finditer(r" {2,}(?=\S)", lines[5]))]
    columns = ["".join(line[start:end] for line in (each.ljust(80) for each in lines)) for start, end in
               zip(starts, [*starts[1:], 80], strict=True)]  # fmt: skip
    read = ["".join(column.split()) for column in columns]
    assert LONG.subject in read[0]
    assert "forhttps://mcp.example.com/a/very/long/resource" in read[0]
    assert "https://www.googleapis.com/auth/userinfo.emailopenidoffline_access" in read[1]
    assert "signinrequired:therefreshtokenexpired" in read[4]


def test_nobody_is_not_found(blnk_auth_cli: CommandLine) -> None:
    """An empty store ends with 1, and names what to type."""
    result = blnk_auth_cli.run("status")
    assert result.exit_code == 1
    assert result.stderr.endswith("sign in with: blnk-auth login --subject alice\n")
    assert json.loads(blnk_auth_cli.run("status", "--json").stdout) == []


def test_one_subject_can_be_asked_for(blnk_auth_cli: CommandLine) -> None:
    """With --subject only that one is listed, and one who has not signed in ends with 1."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "alice")
    blnk_auth_cli.give(client, "bob smith")
    found = json.loads(blnk_auth_cli.run("status", "--json", "--subject", "bob smith").stdout)
    assert [each["subject"] for each in found] == ["bob smith"]
    missing = blnk_auth_cli.run("status", "--subject", "carol smith")
    assert missing.exit_code == 1
    assert missing.stderr == (
        "blnk-auth: 'carol smith' has not signed in at Blnk Cloud yet; "
        "sign in with: blnk-auth login --subject 'carol smith'\n"
    )


def test_the_usual_subject_selects_nothing(blnk_auth_cli: CommandLine) -> None:
    """`BLNK_AUTH_SUBJECT`, which sandbox --env prints, hides nobody: only the option selects."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "alice")
    blnk_auth_cli.give(client, "bob")
    shown = blnk_auth_cli.run("status", "--json", BLNK_AUTH_SUBJECT="alice")
    assert [each["subject"] for each in json.loads(shown.stdout)] == ["alice", "bob"]


def test_watching_is_for_people(blnk_auth_cli: CommandLine) -> None:
    """--watch and --json exclude each other, which is reported in one line."""
    result = blnk_auth_cli.run("status", "--watch", "--json")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "--watch and --json exclude each other" in result.stderr


@pytest.mark.parametrize("is_terminal", [True, False])
def test_watching_ends_well_with_ctrl_c(blnk_auth_cli: CommandLine, is_terminal: bool) -> None:
    """`status --watch` shows the table until Ctrl-C, which ends it with 0; a pipe gets each update immediately."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice")
    arguments = command("status", "--watch", "--interval", "0.1s")
    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=terminal(blnk_auth_cli) if is_terminal else blnk_auth_cli.environment,
    ) as process:
        assert process.stdout is not None
        for _ in range(2):
            while "alice" not in process.stdout.readline():
                assert process.poll() is None
        process.send_signal(2)
        _, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, errors) == (0, "")


def terminal(command_line: CommandLine) -> dict[str, str]:
    # Rich writes its output immediately, as to a terminal.
    return {**command_line.environment, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}


def test_a_terminal_without_utf8_or_colours_is_served(blnk_auth_cli: CommandLine) -> None:
    """On an ASCII terminal the table is made of ASCII, and a name that needs more is escaped."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "Zoë")
    environment = {**blnk_auth_cli.environment, "PYTHONIOENCODING": "ascii", "TERM": "dumb", "NO_COLOR": "1"}
    finished = subprocess.run(command("status"), capture_output=True, env=environment, timeout=PATIENCE, check=False)
    assert finished.returncode == 0, finished.stderr
    assert b"Zo\\xeb" in finished.stdout
    assert finished.stdout.isascii()
    assert b"\x1b" not in finished.stdout


# --- token, renew, logout ---------------------------------------------------------------------------------------------


def test_token_prints_the_token_and_nothing_else(blnk_auth_cli: CommandLine) -> None:
    """The access token is alone on standard output, renewed if it had expired."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "alice", expires_at=time.time() - 5)
    result = blnk_auth_cli.run("token")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    assert result.stdout.strip() == blnk_auth_cli.client().for_subject("alice").token().access_token
    assert json.loads(blnk_auth_cli.run("token", "--json").stdout)["access_token"] == result.stdout.strip()
    assert blnk_auth_cli.sandbox is not None
    assert blnk_auth_cli.sandbox.counts.refreshes == 1


@pytest.mark.parametrize("name", ["token", "renew"])
def test_the_command_to_sign_in_is_shown(blnk_auth_cli: CommandLine, name: str) -> None:
    """A subject without a grant ends with 1, nothing on standard output, and one line with the command to type."""
    result = blnk_auth_cli.run(name, "--subject", "bob")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "blnk-auth: nothing is stored for subject 'bob': it was never authorized here, was forgotten, or the store "
        "lost it; sign in with: blnk-auth login --subject bob\n"
    )


def test_an_outage_is_another_status(blnk_auth_cli: CommandLine) -> None:
    """A server that is down for now ends with 3."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice")
    assert blnk_auth_cli.sandbox is not None
    blnk_auth_cli.sandbox.fail(Fault(status=503))
    result = blnk_auth_cli.run("renew")
    assert result.exit_code == 3
    assert result.stderr.startswith("blnk-auth: ")
    assert result.stderr.count("\n") == 1


def test_renew_renews_and_shows_no_token(blnk_auth_cli: CommandLine) -> None:
    """`renew` makes one renewal and reports how long the new token lives, without showing it."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice")
    result = blnk_auth_cli.run("renew", "--json")
    assert json.loads(result.stdout).keys() == {"subject", "provider", "scope", "expires_at", "refresh_expires_at"}
    assert leaks([result.output, blnk_auth_cli.run("renew").output], ["blnk_at_", "blnk_rt_"]) == []
    assert blnk_auth_cli.sandbox is not None
    assert blnk_auth_cli.sandbox.counts.refreshes == 2


def test_logout_names_what_helps_where_a_provider_cannot_revoke(blnk_auth_cli: CommandLine) -> None:
    """Without a revocation endpoint nothing is changed, and --forget drops the tokens here."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice")
    refused = blnk_auth_cli.run("logout")
    assert refused.exit_code == 2
    assert "so nothing was changed; revoke the OAuth client in the Blnk Cloud dashboard" in refused.stderr
    assert "--forget deletes the tokens here" in refused.stderr
    assert statuses(blnk_auth_cli)["alice"]["state"] == "fresh"
    assert blnk_auth_cli.run("logout", "--forget").exit_code == 0
    assert statuses(blnk_auth_cli) == {}


def test_logout_revokes_and_then_forgets(blnk_auth_cli: CommandLine) -> None:
    """The provider revokes first: if it cannot now, nothing is deleted here, and then everything is."""
    with Sandbox("flinks", client_secret=SECRET) as sandbox:
        flinks = CommandLine(blnk_auth_cli.directory, sandbox)
        flinks.configure("flinks")
        flinks.give(flinks.client(), "alice")
        sandbox.fail(Fault(status=503), at="revocation")
        assert flinks.run("logout").exit_code == 3
        assert statuses(flinks).keys() == {"alice"}
        revoked = flinks.run("logout", "--json")
        assert json.loads(revoked.stdout) == {"subject": "alice", "provider": "flinks", "revoked": True}
        assert sandbox.counts.revocations == 1
        assert statuses(flinks) == {}


def test_the_clients_own_token(blnk_auth_cli: CommandLine) -> None:
    """`token --itself` prints the client's own token; where the provider issues none, one line explains it."""
    refused = blnk_auth_cli.run("token", "--itself")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == "blnk-auth: --itself: Blnk Cloud issues tokens for users only; leave it out\n"
    with Sandbox("flinks", client_secret=SECRET) as sandbox:
        flinks = CommandLine(blnk_auth_cli.directory, sandbox)
        flinks.configure("flinks")
        assert flinks.run("token", "--itself", "--scope", "client:admin").exit_code == 0
        assert sandbox.counts.client_credentials == 1
        assert "(the client itself)" in flinks.run("status").stdout


def test_the_default_subject_must_be_known(blnk_auth_cli: CommandLine) -> None:
    """Without a subject anywhere, the error names file, profile and option."""
    blnk_auth_cli.configure(subject='""')
    result = blnk_auth_cli.run("token")
    assert result.exit_code == 2
    assert "profile 'default': subject is missing; specify whose tokens: --subject NAME" in result.stderr


def test_settings_may_come_without_any_file(blnk_auth_cli: CommandLine) -> None:
    """In a container, variables alone make a client; an option has precedence over a variable."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice")
    sandbox = blnk_auth_cli.sandbox
    assert sandbox is not None
    result = blnk_auth_cli.run(
        *("token", "--subject", "alice"),
        BLNK_AUTH_CONFIG=str(blnk_auth_cli.directory / "none.toml"),
        BLNK_AUTH_PROVIDER="blnk_cloud",
        BLNK_AUTH_BASE_URL=sandbox.origin,
        BLNK_AUTH_CLIENT_ID=sandbox.client_id,
        BLNK_AUTH_CLIENT_SECRET=sandbox.client_secret,
        BLNK_AUTH_STORE=f"sqlite:///{blnk_auth_cli.directory}/tokens.db",
        BLNK_AUTH_SUBJECT="bob",
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("blnk_at_")


def test_a_typo_in_the_file_ends_with_2_in_one_line(blnk_auth_cli: CommandLine) -> None:
    """Each command reports a typo in the configuration in one line on standard error."""
    blnk_auth_cli.configure(sope='"x"')
    for name in ("login", "logout", "status", "token", "renew", "keepalive"):
        result = blnk_auth_cli.run(name)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("blnk-auth: ")
        assert "did you mean 'scope'?" in result.stderr
        assert result.stderr.count("\n") == 1


def test_profiles_are_completed(blnk_auth_cli: CommandLine) -> None:
    """The shell completes profile names from the configuration file."""
    environment = {
        **blnk_auth_cli.environment,
        "_BLNK_AUTH_COMPLETE": "bash_complete",
        "COMP_WORDS": "blnk-auth token --profile de",
        "COMP_CWORD": "3",
    }
    finished = subprocess.run(
        [sys.executable, "-m", "blnk_auth.cli"], capture_output=True, text=True, env=environment, check=False
    )
    assert finished.stdout == "plain,default\n"


def test_an_sql_store_gets_its_tables(offline: CommandLine, postgres_url: str) -> None:
    """Without its tables a store names the command that makes them; it may be repeated, and then the store works."""
    environment = {**offline.environment, "BLNK_AUTH_CLIENT_SECRET": "s"}

    def finished(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command(*arguments), env=environment, capture_output=True, text=True, check=False)

    with fresh_database(postgres_url) as url:
        client = ("--provider", "blnk_cloud", "--client-id", "id", "--subject", "a", "--store", url)
        missing = finished("token", *client)
        assert missing.returncode == 2
        assert "create or update the tables with: blnk-auth store migrate URL" in missing.stderr
        for _ in range(2):
            assert finished("store", "migrate", url).stdout.endswith(" is up to date.\n")
        assert finished("store", "list", url).returncode == 0
        assert finished("token", *client).returncode == 1
    assert "has no tables to create" in finished("store", "migrate", "memory:").stdout


def test_each_resource_has_a_grant_of_its_own(blnk_auth_cli: CommandLine) -> None:
    """A grant for a resource is listed and kept alive like any other, and only its own resource selects it."""
    client = blnk_auth_cli.client()
    source = client.for_subject("alice", resource="https://api.test/mcp")
    assert blnk_auth_cli.sandbox is not None
    issued = Token.from_response(blnk_auth_cli.sandbox.issue("alice"), now=time.time())
    source.adopt(issued.replace(issued_at=time.time() - 25 * DAY))
    [status] = json.loads(blnk_auth_cli.run("status", "--json").stdout)
    assert (status["subject"], status["resource"], status["state"]) == ("alice", "https://api.test/mcp", "fresh")
    assert "https://api.test/mcp" in blnk_auth_cli.run("status").stdout
    assert blnk_auth_cli.run("token").exit_code == 1
    assert blnk_auth_cli.run("token", "--resource", "https://api.test/mcp").exit_code == 0
    kept = json.loads(blnk_auth_cli.run("keepalive", "--json", "--idle-lifetime", "30d").stdout)
    assert (kept["grants"], kept["renewed"]) == (1, 1)


def test_an_impossible_resource_is_named(blnk_auth_cli: CommandLine) -> None:
    """What cannot be a resource ends with 2 and the option."""
    refused = blnk_auth_cli.run("token", "--resource", "not a URI")
    assert refused.exit_code == 2
    assert "resource" in refused.stderr
