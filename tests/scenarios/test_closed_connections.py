"""How kept connections to the token endpoint are closed: with the client, in a forked child, and none is left over."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import ssl
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Certificates
from support.keep_alive import PAIR, KeepAliveServer, Steps, network_for, send, whole
from support.limits import PATIENCE
from support.providers import acme_at
from support.waiting import wait_until

from blnk_auth import MemoryStore, OAuthClient, Token
from blnk_auth._protocol.http_messages import NoResponse, Package
from blnk_auth._transport.kept_clients import LentClient
from blnk_auth._transport.network import Network

has_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


# --- closed ----------------------------------------------------------------------------------------------------------


def a_client(origin: str, certificates: Certificates, **settings: Any) -> OAuthClient:
    client = OAuthClient(
        acme_at(origin, "https://api.acme.test"),
        client_id="id",
        client_secret="s3cret",
        store=MemoryStore(),
        verify=certificates.ca_file,
        **settings,
    )
    client._state.network.kept._clock = Steps()
    return client


def expired(client: OAuthClient, subject: str = "alice") -> Any:
    source = client.for_subject(subject)
    source.adopt(Token("at-0", refresh_token=f"rt-of-{subject}", expires_at=1.0))
    return source


@pytest.mark.parametrize("way", ["with", "async with", "close", "aclose", "forgotten"])
def test_closing_the_client_closes_its_connections(certificates: Certificates, tls: ssl.SSLContext, way: str) -> None:
    """In every way that clients are closed, or when nothing refers to it any more."""
    with KeepAliveServer(lambda _: whole(PAIR), tls=tls) as server:

        def use(client: OAuthClient) -> None:
            assert expired(client).token().access_token == "at-1"
            assert not server.ended.acquire(timeout=0.05)

        async def use_async(client: OAuthClient) -> None:
            async with client as same:
                assert same is client
                use(client)

        client = a_client(server.origin, certificates)
        if way == "with":
            with client as same:
                assert same is client
                use(client)
        elif way == "async with":
            asyncio.run(use_async(client))
        else:
            use(client)
        if way == "close":
            client.close()
        elif way == "aclose":
            asyncio.run(client.aclose())
        elif way == "forgotten":
            gone = weakref.ref(client._state.network)
            del client
            gc.collect()
            assert gone() is None
        assert server.ended.acquire(timeout=PATIENCE)


AT_EXIT = """
import sys

from blnk_auth import OAuthClient, Provider, Token

package, origin, ca_file = sys.argv[1:]
__import__(package)
client = OAuthClient(
    Provider(name="acme", token_endpoint=origin + "/token", api_origins=(origin,)),
    client_id="id",
    client_secret="s3cret",
    verify=ca_file,
)
client._state.network.kept._clock = lambda: 1000.0
alice = client.for_subject("alice")
alice.adopt(Token("at-0", refresh_token="rt-0", expires_at=1.0))
for _ in range(2):
    alice.renew()
"""


def test_a_connection_that_is_idle_at_exit_is_closed_without_a_word(
    package: Package, certificates: Certificates, tls: ssl.SSLContext | None
) -> None:
    """No warning, and nothing to wait for: by its clock, this connection would stay open for ever."""
    with KeepAliveServer(lambda _: whole(PAIR), tls=tls) as server:
        command = [sys.executable, "-W", "error", "-X", "dev", "-c", AT_EXIT, package]
        command += [server.origin, certificates.ca_file]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert server.requests == [0, 0]
        assert server.ended.acquire(timeout=PATIENCE)


def test_a_closed_client_works_on_and_keeps_nothing(certificates: Certificates) -> None:
    """So do its sources; closing it again changes nothing."""
    with KeepAliveServer(lambda _: whole(PAIR)) as server:
        client = a_client(server.origin, certificates)
        alice = expired(client)
        with client:
            pass
        client.close()
        for count in range(3):
            alice.renew()
            assert server.ended.acquire(timeout=PATIENCE)
            assert server.requests == list(range(count + 1))


def test_closing_while_requests_are_under_way_interrupts_none(
    package: Package, certificates: Certificates, tls: ssl.SSLContext | None
) -> None:
    """From many threads: each request has its answer, and no connection is left."""
    network = network_for(certificates)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                assert send(package, network, server.origin).body == b"{}"
        except BaseException as failure:
            failures.append(failure)

    with KeepAliveServer(tls=tls) as server:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(server.requests) > 20, "requests are under way")
        for _ in range(3):
            network.kept.close()
        for thread in threads:
            thread.join(PATIENCE)
        assert failures == []
        assert len(server.requests) == 80
        for _ in server.opened:
            assert server.ended.acquire(timeout=PATIENCE)


def test_descriptors_and_memory_stay_flat(package: Package, network: Network) -> None:
    """However many requests there are, and however they end."""
    answers = [whole(), whole(b"{}", "Connection: close"), None, whole()]

    def burst() -> None:
        for _ in range(40):
            with contextlib.suppress(NoResponse):
                send(package, network, server.origin)

    with KeepAliveServer(lambda count: answers[count % 4]) as server:
        burst()
        before = settled_descriptors(server)
        burst()
        burst()
        assert settled_descriptors(server) <= before + 2
        assert sum(type(each) is LentClient for each in gc.get_objects()) <= 1


def settled_descriptors(server: KeepAliveServer) -> int:
    """Without those of the server, whose threads may be a moment behind."""
    gc.collect()
    wait_until(lambda: sum(each.fileno() >= 0 for each in list(server.opened)) <= 1, "ended connections are closed")
    return descriptors()


# --- a fork ----------------------------------------------------------------------------------------------------------


def forked(work: Callable[[], int]) -> int:
    """The exit status of a child that does this work."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@has_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_opens_its_own_connections_and_sends_nothing_on_its_parents(
    package: Package, network: Network, tls: ssl.SSLContext | None
) -> None:
    """A single byte on it, such as a notice that TLS ends, would end the parent's connection."""
    with KeepAliveServer(tls=tls) as server:
        send(package, network, server.origin)

        def in_child() -> int:
            assert network.kept._idle == []
            send(package, network, server.origin)
            gc.collect()
            network.kept.close()
            return 0

        assert forked(in_child) == 0
        assert server.requests == [0, 1]
        send(package, network, server.origin)
        assert server.requests == [0, 1, 0]


@has_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_connection_ends_with_the_parent_although_a_child_lives(package: Package, network: Network) -> None:
    """The child has closed its copy."""
    with KeepAliveServer() as server:
        send(package, network, server.origin)

        def in_child() -> int:
            network.kept.close()
            # The server sees the end only if no process has the connection.
            return 0 if server_saw_end.wait(PATIENCE) else 1

        server_saw_end = Pipe()
        child = os.fork()
        if child == 0:
            os._exit(in_child())
        network.kept.close()
        assert server.ended.acquire(timeout=PATIENCE)
        server_saw_end.set()
        assert os.waitpid(child, 0)[1] == 0


class Pipe:
    """An event that a forked child can wait for."""

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()

    def set(self) -> None:
        os.write(self._writes, b"x")

    def wait(self, seconds: float) -> bool:
        os.set_blocking(self._reads, False)
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            with contextlib.suppress(BlockingIOError):
                return bool(os.read(self._reads, 1))
            time.sleep(0.01)
        return False

    def close(self) -> None:
        os.close(self._reads)
        os.close(self._writes)
