from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, insert
from support.command_line import SECRET, CommandLine, command
from support.limits import PATIENCE
from support.providers import DAY
from support.shared_servers import fresh_database

from blnk_auth import BlnkCloud, MemoryStore, OAuthClient, StoreError, Token
from blnk_auth._renewal.keepalive import KeepaliveRun
from blnk_auth._renewal.keepalive_settings import KeepaliveSettings, RateLimit
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.stores._sql import SQLStore
from blnk_auth.stores._sql_schema import records
from blnk_auth.stores._token_store import Record, to_json
from blnk_auth.testing.sandbox import Fault, Sandbox

SETTINGS = KeepaliveSettings(horizon=7 * DAY, idle_lifetime=30 * DAY)
FAST = ("--rate", "100000", "--json")
DUE = (*FAST, "--idle-lifetime", "30d")


def token(**changes: Any) -> Token:
    return Token("at", refresh_token="rt", issued_at=0.0, expires_at=300.0).replace(**changes)


@pytest.mark.parametrize(
    ("day", "changes", "is_due"),
    [
        (22.9, {}, False),
        (23.1, {}, True),
        (29.0, {}, True),
        (31.0, {}, True),
        (23.1, {"refresh_token": None}, False),
        (0.5, {"refresh_expires_at": 4 * DAY}, True),
        (0.3, {"refresh_expires_at": 4 * DAY}, False),
        (1.0, {"refresh_expires_at": 9 * DAY}, False),
        (23.1, {"issued_at": None}, False),
        (23.1, {"issued_at": None, "refresh_expires_at": 25 * DAY}, True),
    ],
)
def test_what_is_due(day: float, changes: dict[str, Any], is_due: bool) -> None:
    """A grant is due if its refresh token expires within the horizon, unless it is young."""
    assert SETTINGS.is_due(token(**changes), day * DAY) is is_due


def test_renewals_are_rate_limited() -> None:
    """Any number that come at the same time pass at the given rate; one that comes later does not wait."""
    rate_limit = RateLimit(rate=4)
    assert [rate_limit.delay(100.0) for _ in range(3)] == [0.0, 0.25, 0.5]
    assert rate_limit.delay(200.0) == 0.0


def kept_alive(command_line: CommandLine, *arguments: str) -> dict[str, Any]:
    result = command_line.run("keepalive", *arguments)
    assert result.exit_code in (0, 1, 2), result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["status"] == result.exit_code
    return found


def rows(command_line: CommandLine) -> list[Any]:
    """Everything stored, byte for byte."""
    with closing(sqlite3.connect(command_line.directory / "tokens.db")) as database:
        return database.execute("SELECT * FROM records ORDER BY 1").fetchall()


def test_several_profiles_in_one_run(blnk_auth_cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named, or all of the file; one that cannot be used is reported, and the others are kept alive all the same."""
    monkeypatch.setenv("SANDBOX_SECRET", SECRET)
    first = blnk_auth_cli.file.read_text("utf-8")
    store = f"sqlite:///{blnk_auth_cli.directory}/tokens.db"
    second = first.replace("[profiles.default]", "[profiles.second]").replace(store, f"{store}2")
    broken = '[profiles.broken]\nprovider = "none of these"\n'
    blnk_auth_cli.write(first + second)
    for profile in ("default", "second"):
        blnk_auth_cli.give(OAuthClient.from_config(profile, blnk_auth_cli.file), profile, idle=25 * DAY)
    found = kept_alive(blnk_auth_cli, *DUE, "default", "second")
    assert [(each["profile"], each["renewed"]) for each in found["profiles"]] == [("default", 1), ("second", 1)]
    blnk_auth_cli.write(first + second + broken)
    found = kept_alive(blnk_auth_cli, *DUE, "--all-profiles")
    assert [(each["profile"], each["status"]) for each in found["profiles"]] == [
        *(("broken", 2), ("default", 0), ("second", 0)),
    ]
    assert found["status"] == 2
    both = blnk_auth_cli.run("keepalive", "--all-profiles", "default")
    assert (both.exit_code, both.stdout) == (2, "")
    shown = blnk_auth_cli.run("keepalive", "default", "second").stdout
    assert [line for line in shown.splitlines() if line.endswith(":")] == ["default:", "second:"]


def test_a_part_of_the_grants(blnk_auth_cli: CommandLine) -> None:
    """`--shard 1/2` takes the second half, and both halves are all."""
    client = blnk_auth_cli.client()
    for number in range(20):
        blnk_auth_cli.give(client, f"s{number}")
    grants = [kept_alive(blnk_auth_cli, *DUE, "--shard", f"{part}/2")["grants"] for part in range(2)]
    assert sum(grants) == 20
    assert min(grants) > 0


@pytest.mark.parametrize("shard", ["2/2", "1", "a/b", "-1/2", "0/0", "0:2", ""])
def test_a_part_that_cannot_be_is_refused(blnk_auth_cli: CommandLine, shard: str) -> None:
    """With how to write it."""
    result = blnk_auth_cli.run("keepalive", "--shard", shard)
    assert result.exit_code == 2
    assert "0/4" in result.stderr


def test_only_what_would_expire_is_renewed(blnk_auth_cli: CommandLine) -> None:
    """What nobody has used for long is renewed, and nothing else; a second run finds nothing to do."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "old", idle=25 * DAY)
    blnk_auth_cli.give(client, "new", idle=1 * DAY)
    first = kept_alive(blnk_auth_cli, *DUE)
    assert (first["grants"], first["due"], first["renewed"], first["status"]) == (2, 1, 1, 0)
    assert kept_alive(blnk_auth_cli, *DUE)["due"] == 0
    assert blnk_auth_cli.sandbox is not None
    assert [request.form["grant_type"] for request in blnk_auth_cli.sandbox.requests if request.form] == [
        "refresh_token"
    ]


def test_flinks_own_idle_time_is_known(blnk_auth_cli: CommandLine) -> None:
    """For Flinks the provider's own 30 days count, without an option."""
    with Sandbox("flinks", client_secret=SECRET) as sandbox:
        flinks = CommandLine(blnk_auth_cli.directory, sandbox)
        flinks.configure("flinks")
        flinks.give(flinks.client(), "alice", idle=24 * DAY)
        assert kept_alive(flinks, *FAST)["renewed"] == 1


def test_a_grant_that_expires_at_an_unknown_time_is_left(blnk_auth_cli: CommandLine) -> None:
    """Where it is unknown when a refresh token expires, it is left, and the summary reports it."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice", idle=300 * DAY)
    assert kept_alive(blnk_auth_cli, *FAST)["unknown"] == 1
    assert "1 were not renewed: Blnk Cloud does not specify" in blnk_auth_cli.run("keepalive").stdout


def test_who_must_sign_in_is_named_and_ends_with_1(blnk_auth_cli: CommandLine) -> None:
    """A grant that has ended, is refused now, or will end in any case is named; the others are renewed."""
    client = blnk_auth_cli.client()
    for subject in ("alice", "bob", "carol"):
        blnk_auth_cli.give(client, subject, idle=25 * DAY)
    blnk_auth_cli.end(client, "bob")
    blnk_auth_cli.give(client, "dave", idle=25 * DAY, refresh_expires_at=time.time() + DAY)
    assert blnk_auth_cli.sandbox is not None
    blnk_auth_cli.sandbox.revoke_grant("carol")
    found = kept_alive(blnk_auth_cli, *DUE)
    assert sorted(found["sign_in_required"]) == ["bob", "carol"]
    assert (found["renewed"], found["renewed_elsewhere"], found["status"]) == (2, 0, 1)
    shown = blnk_auth_cli.run("keepalive", "--idle-lifetime", "30d")
    assert shown.exit_code == 1
    assert "Must sign in again:\n" in shown.stdout


def test_a_grant_that_a_renewal_does_not_prolong_is_listed(blnk_auth_cli: CommandLine) -> None:
    """Where a renewal does not postpone the expiry of the refresh token, the user must sign in."""
    with Sandbox(client_secret=SECRET) as sandbox:
        command_line = CommandLine(blnk_auth_cli.directory, sandbox)
        command_line.configure()
        client = command_line.client()
        sandbox.fail(Fault(rewrite=lambda members: {**members, "refresh_expires_in": 3600}))
        command_line.give(client, "alice", idle=25 * DAY, refresh_expires_at=time.time() + DAY)
        found = kept_alive(command_line, *FAST)
    assert (found["expiring"], found["renewed"], found["status"]) == (["alice"], 1, 1)


def test_a_failure_ends_with_2_and_the_others_go_on(blnk_auth_cli: CommandLine) -> None:
    """One failed renewal is listed with its key; all others are made, and the exit status is 2."""
    client = blnk_auth_cli.client()
    for number in range(5):
        blnk_auth_cli.give(client, f"s{number}", idle=25 * DAY)
    assert blnk_auth_cli.sandbox is not None
    blnk_auth_cli.sandbox.fail(Fault(status=503))
    found = kept_alive(blnk_auth_cli, *DUE)
    assert (found["renewed"], len(found["failed"]), found["gave_up"], found["status"]) == (4, 1, None, 2)


@pytest.mark.parametrize(("headers", "sent"), [({}, 20), ({"Retry-After": "3600"}, 1)])
def test_a_server_that_is_down_is_not_hammered(blnk_auth_cli: CommandLine, headers: dict[str, str], sent: int) -> None:
    """It gives up after 20 failures in a row, or immediately if it would wait for an hour; and it marks nobody."""
    client = blnk_auth_cli.client()
    for number in range(40):
        blnk_auth_cli.give(client, f"s{number}", idle=25 * DAY)
    assert blnk_auth_cli.sandbox is not None
    blnk_auth_cli.sandbox.fail(*[Fault(status=503, headers=headers)] * 100)
    before = rows(blnk_auth_cli)
    found = kept_alive(blnk_auth_cli, *DUE, "--workers", "1")
    assert (found["status"], found["sign_in_required"], len(found["failed"])) == (2, [], sent)
    assert found["gave_up"]
    assert blnk_auth_cli.sandbox.counts.token_requests == sent
    assert rows(blnk_auth_cli) == before


@pytest.mark.parametrize(("broken", "failed", "gives_up"), [(40, 20, True), (2, 20, False)], ids=["all", "every other"])
def test_records_that_cannot_be_read_here_and_there_do_not_stop_it(broken: int, failed: int, gives_up: bool) -> None:
    """After 20 failed looks in a row it gives up; records that cannot be read here and there do not stop it."""

    class Broken(MemoryStore):
        looks = 0

        def load(self, key: str) -> Record | None:
            self.looks += 1
            if self.looks % broken:
                raise StoreError("the disk is gone; look for it")
            return super().load(key)

    store = Broken()
    client = OAuthClient(BlnkCloud(), client_id="id", client_secret="s", store=store)
    for number in range(40):
        key = client.for_subject(f"s{number}").store_key
        store.save(key, GrantRecord(token(issued_at=time.time())).to_data(), expected=None)
    report = client.keepalive(idle_lifetime=30 * DAY, workers=1)
    assert (len(report.failed), report.gave_up is not None) == (failed, gives_up)


def test_a_pair_that_cannot_be_saved_stops_immediately(blnk_auth_cli: CommandLine) -> None:
    """With 2: on a full disk each further renewal would cost another user's sign-in."""
    client = blnk_auth_cli.client()
    for number in range(10):
        blnk_auth_cli.give(client, f"s{number}", idle=25 * DAY)
    with closing(sqlite3.connect(blnk_auth_cli.directory / "tokens.db")) as database:
        database.execute("CREATE TRIGGER full BEFORE UPDATE ON records BEGIN SELECT RAISE(FAIL, 'disk full'); END")
    before = rows(blnk_auth_cli)
    found = kept_alive(blnk_auth_cli, *DUE, "--workers", "1")
    assert rows(blnk_auth_cli) == before
    assert (found["renewed"], found["sign_in_required"], found["status"]) == (0, [], 2)
    [failed] = found["failed"]
    assert "only the memory of this process has it" in failed["error"] == found["gave_up"]
    assert blnk_auth_cli.sandbox is not None
    assert blnk_auth_cli.sandbox.counts.token_requests == 1


def test_a_wrong_secret_stops_immediately(blnk_auth_cli: CommandLine) -> None:
    """What would fail for every grant alike, as a wrong client secret, is tried once."""
    client = blnk_auth_cli.client()
    for number in range(10):
        blnk_auth_cli.give(client, f"s{number}", idle=25 * DAY)
    blnk_auth_cli.variables["SANDBOX_SECRET"] = "wrong"
    found = kept_alive(blnk_auth_cli, *DUE, "--workers", "1")
    assert found["gave_up"]
    assert blnk_auth_cli.sandbox is not None
    assert blnk_auth_cli.sandbox.counts.token_requests == 1


def test_a_grant_renewed_since_it_was_seen_is_left(blnk_auth_cli: CommandLine) -> None:
    """What another host has renewed after this run read it is not renewed again."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "alice", idle=25 * DAY)
    other = blnk_auth_cli.client()

    class Late(KeepaliveRun):
        def _renew(self, current: Any, seen: Token) -> None:
            other.for_subject("alice").renew()
            super()._renew(current, seen)

    report = Late(client._state, KeepaliveSettings(7 * DAY, 30 * DAY, rate=1e5)).run(None)
    assert (report.due, report.renewed, report.renewed_elsewhere) == (1, 0, 1)
    assert blnk_auth_cli.sandbox is not None
    assert blnk_auth_cli.sandbox.counts.refreshes == 1


def test_four_processes_renew_each_due_grant_once(blnk_auth_cli: CommandLine) -> None:
    """Four processes on one store renew each due grant exactly once between them, and leave the others."""
    client = blnk_auth_cli.client()
    for number in range(30):
        blnk_auth_cli.give(client, f"due{number}", idle=25 * DAY)
        blnk_auth_cli.give(client, f"young{number}", idle=DAY)
    sandbox = blnk_auth_cli.sandbox
    assert sandbox is not None
    sandbox.token_latency = 0.02
    reports = at_once(blnk_auth_cli, 4)
    assert (sandbox.counts.refreshes, sandbox.counts.reuses) == (30, 0)
    assert sum(report["renewed"] for report in reports) == 30
    assert {report["status"] for report in reports} == {0}
    assert all(report["looked_at"] == 60 for report in reports)


@pytest.mark.deep
def test_four_processes_on_postgresql_renew_100000_grants_once(
    blnk_auth_cli: CommandLine,
    postgres_url: str,
) -> None:
    """On PostgreSQL, with 100,000 grants of which 5,000 are due, four processes renew each due one exactly once."""
    with fresh_database(postgres_url) as url:
        blnk_auth_cli.configure(store=f'"{url}"')
        client = blnk_auth_cli.client()
        fill(blnk_auth_cli, client, url, young=95_000, due=5_000)
        reports = at_once(blnk_auth_cli, 4, timeout=1500)
        client.store.close()
    sandbox = blnk_auth_cli.sandbox
    assert sandbox is not None
    assert (sandbox.counts.refreshes, sandbox.counts.reuses) == (5_000, 0)
    assert sum(report["renewed"] for report in reports) == 5_000
    assert {report["looked_at"] for report in reports} == {100_000}


def fill(command_line: CommandLine, client: OAuthClient, url: str, *, young: int, due: int) -> None:
    """Grants by the thousand, behind the store's back: one by one it would take minutes."""
    assert isinstance(client.store, SQLStore)
    assert command_line.sandbox is not None
    client.store.create_schema()
    now, key = time.time(), client.for_subject("NAME").store_key
    rows = [_row(key, f"young{number}", token(issued_at=now - DAY)) for number in range(young)]
    for number in range(due):
        issued = Token.from_response(command_line.sandbox.issue(f"due{number}"), now=now)
        rows.append(_row(key, f"due{number}", issued.replace(issued_at=now - 25 * DAY)))
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for start in range(0, len(rows), 5_000):
            connection.execute(insert(records), rows[start : start + 5_000])


def _row(key: str, subject: str, stored: Token) -> dict[str, str]:
    return {"store_key": key.replace("NAME", subject), "version": "1", "data": to_json(GrantRecord(stored).to_data())}


def at_once(command_line: CommandLine, processes: int, timeout: float = PATIENCE) -> list[dict[str, Any]]:
    running = [
        subprocess.Popen(
            command("keepalive", *DUE),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=command_line.environment,
        )
        for _ in range(processes)
    ]
    reports: list[dict[str, Any]] = []
    for process in running:
        output, errors = process.communicate(timeout=timeout)
        assert process.returncode == 0, errors
        reports.append(json.loads(output))
    return reports


def test_ctrl_c_ends_it_in_good_order(blnk_auth_cli: CommandLine) -> None:
    """Ctrl-C ends it with 130 and a summary; what had been renewed by then is stored."""
    client = blnk_auth_cli.client()
    for number in range(20):
        blnk_auth_cli.give(client, f"s{number}", idle=25 * DAY)
    sandbox = blnk_auth_cli.sandbox
    assert sandbox is not None
    arguments = command("keepalive", "--rate", "2", "--json", "--idle-lifetime", "30d")
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=blnk_auth_cli.environment
    ) as process:
        sandbox.wait_for_token_requests(2, timeout=PATIENCE)
        process.send_signal(2)
        output, errors = process.communicate(timeout=PATIENCE)
    found = json.loads(output)
    assert process.returncode == 130
    assert errors.count("\n") == 1
    assert found["interrupted"] is True
    assert found["renewed"] == sandbox.counts.refreshes < 20


@pytest.mark.parametrize("horizon", ["soon", "-1", "0", "d", "1e99", "0d"])
def test_a_time_that_is_not_valid_is_refused(blnk_auth_cli: CommandLine, horizon: str) -> None:
    """A horizon that is not a length of time ends with 2 and the right way to write it."""
    result = blnk_auth_cli.run("keepalive", "--horizon", horizon)
    assert result.exit_code == 2
    assert "write it as 90s, 30m, 12h or 7d" in " ".join(result.stderr.split())


@pytest.mark.parametrize("option", ["--horizon", "--idle-lifetime"])
def test_a_duration_without_a_unit_is_refused(blnk_auth_cli: CommandLine, option: str) -> None:
    """`--horizon 7` is refused, with days and seconds to choose from: it would be seven seconds."""
    result = blnk_auth_cli.run("keepalive", option, "7")
    assert result.exit_code == 2
    assert "'7' has no unit; write 7d for days, 7s for seconds" in " ".join(result.stderr.split())


def test_a_lost_answer_reaches_the_command_line(blnk_auth_cli: CommandLine) -> None:
    """A renewal whose answer was lost is reported with its consequence: in one line, and as data in the report."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "alice", idle=25 * DAY)
    assert blnk_auth_cli.sandbox is not None
    blnk_auth_cli.sandbox.fail(*[Fault(disconnect=True, after_rotation=True)] * 10)
    [failed] = kept_alive(blnk_auth_cli, *DUE)["failed"]
    assert failed["outcome_unknown"] is True
    blnk_auth_cli.give(client, "bob")
    shown = blnk_auth_cli.run("renew", "--subject", "bob")
    assert shown.exit_code == 3
    assert "only a new sign-in helps: blnk-auth login" in shown.stderr
