"""The assertions of the test kit hold for a correct client, and are red for each wrong one."""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from support.limits import PATIENCE

from blnk_auth import MemoryStore, OAuthClient, Token, TokenSource
from blnk_auth.testing import Clock, Fault, Sandbox, assert_no_reuse, assert_no_secret_in, assert_renewed_once
from blnk_auth.testing._client import client_of
from blnk_auth.testing.sandbox._device import DEVICE_GRANT

CREDENTIALS = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}

pytestmark = pytest.mark.real


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(clock=Clock()) as running:
        yield running


def new_client(sandbox: Sandbox) -> OAuthClient:
    """A client that shares nothing with any other."""
    return client_of(sandbox, store=MemoryStore(), clock=sandbox.clock)


def alice_of(sandbox: Sandbox, issued: dict[str, Any]) -> TokenSource:
    source = new_client(sandbox).for_subject("alice")
    source.adopt(Token.from_response(issued, now=sandbox.clock()))
    return source


# --- one renewal -----------------------------------------------------------------------------------------------------


def test_a_sign_in_is_not_a_renewal(sandbox: Sandbox) -> None:
    """The exchange of a code does not count, and the refresh after it does."""
    client = new_client(sandbox)
    alice = client.finish_authorization(sandbox.sign_in(client.start_authorization("alice").url))
    with pytest.raises(AssertionError, match="there were 0 by 0"):
        assert_renewed_once(sandbox, timeout=0)
    alice.renew()
    assert_renewed_once(sandbox)


def test_two_renewals_are_not_one(sandbox: Sandbox) -> None:
    """The message has the counts, and what to call between the two."""
    alice = alice_of(sandbox, sandbox.issue())
    alice.renew()
    alice.renew()
    with pytest.raises(AssertionError, match=r"there were 2 by 2.*sandbox\.clear_record\(\)"):
        assert_renewed_once(sandbox)
    sandbox.clear_record()
    alice.renew()
    assert_renewed_once(sandbox)


def test_a_failed_request_beside_the_renewal_is_seen(sandbox: Sandbox) -> None:
    """An error of the token endpoint before the renewal was a request too many."""
    alice = alice_of(sandbox, sandbox.issue())
    sandbox.fail("not_json")
    with pytest.raises(Exception, match="not a valid OAuth 2.0 response"):
        alice.renew()
    alice.renew()
    with pytest.raises(AssertionError, match="there were 1 by 2"):
        assert_renewed_once(sandbox)


def test_a_renewal_in_the_background_is_waited_for(sandbox: Sandbox) -> None:
    """The assertion does not depend on how fast the machine is."""
    alice = alice_of(sandbox, sandbox.issue())
    sandbox.fail(Fault(delay=0.2))
    renewal = threading.Thread(target=alice.renew)
    renewal.start()
    assert_renewed_once(sandbox, timeout=PATIENCE)
    renewal.join()


def test_a_client_that_renews_for_itself_is_counted() -> None:
    """Another token by client credentials is a renewal."""
    with Sandbox("flinks", clock=Clock()) as sandbox:
        service = new_client(sandbox).for_itself(scope="client:admin")
        service.token()
        assert_renewed_once(sandbox)
        service.renew()
        with pytest.raises(AssertionError, match="there were 2 by 2"):
            assert_renewed_once(sandbox)


# --- no spent refresh token ------------------------------------------------------------------------------------------


def test_two_clients_without_a_common_store_are_found(sandbox: Sandbox) -> None:
    """Both renew the same grant: the second presents what the first has spent."""
    issued = sandbox.issue()
    first, second = alice_of(sandbox, issued), alice_of(sandbox, issued)
    first.renew()
    assert_no_reuse(sandbox)
    with pytest.raises(Exception, match="sign in"):
        second.renew()
    with pytest.raises(AssertionError, match="presented: 1. Two clients"):
        assert_no_reuse(sandbox)
    with pytest.raises(AssertionError, match="spent refresh tokens presented: 1"):
        assert_renewed_once(sandbox)


# --- no secret -------------------------------------------------------------------------------------------------------


class Shows:
    """An object whose repr is a text."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def __repr__(self) -> str:
        return self.shown


def raised(secret: str, *, inside: bool = False) -> BaseException:
    try:
        try:
            raise KeyError(secret)
        except KeyError:
            raise RuntimeError("no such account") from None
    except RuntimeError as error:
        return ExceptionGroup("several", [error]) if inside else error


def noted(secret: str) -> BaseException:
    error = RuntimeError("no such account")
    error.add_note(f"asked with {secret}")
    return error


def record(secret: str, *, as_argument: bool = True, as_error: bool = False) -> logging.LogRecord:
    info = (RuntimeError, RuntimeError(secret), None) if as_error else None
    return logging.LogRecord("app", logging.INFO, __file__, 1, "%s", (secret if as_argument else "",), info)


def in_a_circle(secret: str) -> list[Any]:
    around: list[Any] = [{"token": secret}]
    around.append(around)
    return around


WAYS: dict[str, Callable[[str], object]] = {
    "text": lambda secret: f"GET /data?x={secret}",
    "percent": lambda secret: quote(secret, safe="").replace("_", "%5F"),
    "JSON": lambda secret: "".join(f"\\u{ord(c):04x}" for c in secret),
    "base64": lambda secret: base64.b64encode(f"id:{secret}".encode()).decode(),
    "a piece": lambda secret: secret[-12:],
    "bytes": lambda secret: secret.encode(),
    "repr": Shows,
    "error": RuntimeError,
    "hidden cause": raised,
    "member of a group": lambda secret: raised(secret, inside=True),
    "note": noted,
    "log record": lambda secret: [record(secret)],
    "log record of an error": lambda secret: record(secret, as_argument=False, as_error=True),
    "mapping": lambda secret: {"headers": {"authorization": f"Bearer {secret}"}},
    "key of a mapping": lambda secret: {secret: 1},
    "circle": in_a_circle,
}


@pytest.mark.parametrize("kind", ["access token", "refresh token", "authorization code", "client secret"])
@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_found(way: str, kind: str, sandbox: Sandbox) -> None:
    """Every kind, however it is shown; the message names the kind."""
    sandbox.issue()
    sandbox.sign_in(new_client(sandbox).start_authorization("alice").url)
    secret = next(secret for each, secret in sandbox.secrets if each == kind)
    with pytest.raises(AssertionError, match=f"^{kind} "):
        assert_no_secret_in(WAYS[way](secret), sandbox)


def test_a_device_code_is_found_also_after_its_exchange() -> None:
    """It was a secret while it was valid, and logs stay."""
    with Sandbox(clock=Clock(), device_grant=True) as sandbox:
        shown = httpx.post(f"{sandbox.origin}/oauth/device_authorization", data=CREDENTIALS).json()
        sandbox.enter_user_code(shown["user_code"])
        grant = {"grant_type": DEVICE_GRANT, "device_code": shown["device_code"]}
        assert "access_token" in httpx.post(f"{sandbox.origin}/oauth/token", data={**CREDENTIALS, **grant}).json()
        with pytest.raises(AssertionError, match="device code"):
            assert_no_secret_in(shown, sandbox)


def test_a_short_client_secret_is_found_as_a_whole() -> None:
    """One of fewer than twelve characters is searched for too."""
    with Sandbox(clock=Clock(), client_secret="s3cr3t") as sandbox:
        assert_no_secret_in("s3cr3 t", sandbox)
        with pytest.raises(AssertionError, match="client secret"):
            assert_no_secret_in("with s3cr3t", sandbox)


def test_what_shows_no_secret_passes(sandbox: Sandbox) -> None:
    """Tokens as this library shows them, other text, and nothing at all."""
    issued = sandbox.issue()
    alice = alice_of(sandbox, issued)
    for shown in (None, "", b"", [], {}, alice, alice.token(), sandbox, sandbox.requests, WAYS, raised("a key"), 5):
        assert_no_secret_in(shown, sandbox)


def test_many_threads_may_assert(sandbox: Sandbox) -> None:
    """Tokens are issued while others search."""
    with ThreadPoolExecutor(8) as threads:
        issuing = [threads.submit(sandbox.issue) for _ in range(200)]
        searching = [threads.submit(assert_no_secret_in, "nothing", sandbox) for _ in range(20)]
        for each in (*issuing, *searching):
            each.result(timeout=PATIENCE)
