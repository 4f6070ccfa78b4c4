"""Rows: the sandbox that applications test with. Its tokens are made up, but its tests show what it shows."""

from __future__ import annotations

import contextlib

import httpx
from support.command_line import command, finish, started
from support.limits import PATIENCE

from blnk_auth import BlnkCloud, HttpxAuth, OAuthClient
from blnk_auth.testing import Counts, Fault, Sandbox, assert_no_reuse, assert_no_secret_in, assert_renewed_once

from .sinks import Shown
from .table import row
from .world import World


@row(
    "Sandbox Sandbox.clear_record Sandbox.fail Sandbox.issue "
    "Sandbox.revoke_access_tokens Sandbox.revoke_grant Sandbox.sign_in "
    "Sandbox.wait_for_token_requests Sandbox.enter_user_code Sandbox.client_id Sandbox.client_secret Sandbox.origin "
    "Sandbox.redirect_uri Sandbox.lifetime Sandbox.rotates Sandbox.counts Sandbox.requests Sandbox.secrets Counts "
    "assert_no_reuse assert_no_secret_in assert_renewed_once "
    "Fault Fault.performs_grant Fault.replaces_answer RecordedRequest RecordedRequest.form RecordedRequest.json"
)
def a_sandbox(world: World) -> object:
    """Sign-in, renewal, device, faults; what it recorded is looked at."""
    with Sandbox(client_secret=world.secrets.new("client secret", "-._~"), device_grant=True) as sandbox:
        client = OAuthClient(
            BlnkCloud(base_url=sandbox.origin),
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            redirect_uri=sandbox.redirect_uri,
            policy=world.policy,
        )
        start = client.start_authorization("alice")
        world.secrets.add("state", start.state)
        source = client.finish_authorization(sandbox.sign_in(start.url, subject="alice"))
        world.secrets.add("access token", source.token().access_token)
        world.secrets.add("refresh token", source.token().refresh_token or "")
        for issued in sandbox.issue("bob").values():
            if isinstance(issued, str) and issued.startswith("blnk_"):
                world.secrets.add("access token", issued)
        sandbox.fail(Fault(503, world.secrets.new("refresh token").encode()))
        sandbox.fail(Fault(500, world.secrets.new("access token").encode()), at="api")
        sandbox.fail(Fault(), at="revocation")
        sandbox.revoke_access_tokens("alice")
        with httpx.Client(auth=HttpxAuth(source), verify=False) as http:
            http.get(f"{sandbox.origin}/data/ledgers")
        sandbox.wait_for_token_requests(1, PATIENCE)
        assert len(sandbox.secrets) > 1
        assert_no_reuse(sandbox)
        assert_no_secret_in([repr(sandbox), source, sandbox.requests], sandbox)
        try:
            assert_renewed_once(sandbox)
        except AssertionError as error:
            world.look_at(error)
        world.look_at(sandbox, *sandbox.requests, sandbox.counts, Counts(), sandbox.personality)
        world.look_at(*(request.path for request in sandbox.requests if request.form or request.method == "GET"))
        for recorded in sandbox.requests:
            with contextlib.suppress(ValueError):
                world.look_at(recorded.json)
        sandbox.revoke_grant("alice")
        sandbox.clear_record()
        sandbox.lifetime, sandbox.rotates = 60.0, sandbox.rotates
        try:
            sandbox.enter_user_code("AAAA-BBBB")
        except ValueError as error:
            world.look_at(error)
    return sandbox


@row("", deep=True)
def blnk_auth_demo(world: World) -> object:
    """A process of its own. The client secret of its sandbox is in a file of its state directory, and nowhere else."""
    state = world.directory / "state"
    finished = finish("demo", "--quick", "--state-dir", str(state))
    world.watch.shown += [Shown("output of demo", finished.stdout), Shown("output of demo", finished.stderr)]
    assert finished.returncode == 0, finished.stderr
    # It names its tokens after what they are.
    assert "blnk_at_" not in finished.stdout + finished.stderr
    assert "blnk_rt_" not in finished.stdout + finished.stderr
    world.secrets.add("client secret", world.client_secret)
    return command("demo")


@row("", deep=True)
def blnk_auth_sandbox(world: World) -> object:
    """It prints the secret of the client that it has made for the user, and no token."""
    with started("sandbox", "--port", "0", "--idle-exit", "1s") as (process, output):
        text = "".join(iter(output.readline, ""))
        assert process.wait(PATIENCE) == 0
    world.watch.shown.append(Shown("output of sandbox", text))
    assert "client_secret" in text
    assert "blnk_at_" not in text
    return world.secrets.add("client secret", world.client_secret) and None
