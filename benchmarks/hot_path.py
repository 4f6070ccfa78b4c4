"""What a valid token costs for each request, as ratios measured side by side in one run.

For each client two figures: the auth step alone (an auth object driven to its first request), against a trivial auth
class that sets a constant header; and a whole request over a mock transport, against a header that is hard-coded.
Rounds are interleaved and the median of each is taken, since a machine's speed drifts; only ratios count.

Run: python benchmarks/hot_path.py [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import time
from collections.abc import Callable, Generator
from typing import Any

import httpx
import httpx2
import requests
from requests.adapters import BaseAdapter
from requests.auth import AuthBase

from blnk_auth import Httpx2Auth, HttpxAuth, OAuthClient, Provider, RequestsAuth, Token

URL = "https://api.example.com/data/accounts?instance_id=instance_1"
HEADERS = {"Accept": "application/json", "X-Request-Id": "7d44c7a0", "Content-Type": "application/json"}
BEARER = "Bearer " + "a" * 43

Timed = Callable[[int], float]


def source() -> Any:
    provider = Provider(
        name="bench", token_endpoint="https://as.example.com/token", api_origins=("https://api.example.com",)
    )
    alice = OAuthClient(provider, client_id="id", client_secret="secret").for_subject("alice")
    alice.adopt(Token(access_token="a" * 43, refresh_token="r" * 43, expires_at=time.time() + 86_400))
    alice.token()
    return alice


# --- auth classes to compare with ------------------------------------------------------------------------------------


def trivial_flow(package: Any) -> Any:
    class Trivial(package.Auth):  # type: ignore[misc]  # one class for each package
        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            request.headers["Authorization"] = BEARER
            yield request

    return Trivial()


class TrivialRequestsAuth(AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = BEARER
        return request


# --- the auth step alone ---------------------------------------------------------------------------------------------


def httpx_step(package: Any, auth: Any) -> Timed:
    response = package.Response(200)

    def run(times: int) -> float:
        made = [package.Request("GET", URL, headers=HEADERS) for _ in range(times)]
        began_at = time.perf_counter()
        for request in made:
            flow = auth.sync_auth_flow(request)
            next(flow)
            try:
                flow.send(response)
            except StopIteration:
                pass
        return (time.perf_counter() - began_at) / times

    return run


def requests_step(auth: Any) -> Timed:
    def run(times: int) -> float:
        made = [requests.Request("GET", URL, headers=HEADERS).prepare() for _ in range(times)]
        began_at = time.perf_counter()
        for request in made:
            auth(request)
        return (time.perf_counter() - began_at) / times

    return run


# --- whole requests over a mock transport ----------------------------------------------------------------------------


def httpx_requests(package: Any, auth: Any, headers: dict[str, str]) -> Timed:
    transport = package.MockTransport(lambda request: package.Response(200, content=b"{}"))
    client = package.Client(transport=transport, auth=auth, headers={**HEADERS, **headers})

    def run(times: int) -> float:
        began_at = time.perf_counter()
        for _ in range(times):
            client.get(URL)
        return (time.perf_counter() - began_at) / times

    return run


def httpx_async_requests(package: Any, auth: Any, headers: dict[str, str]) -> Timed:
    async def calls(times: int) -> float:
        transport = package.MockTransport(lambda request: package.Response(200, content=b"{}"))
        async with package.AsyncClient(transport=transport, auth=auth, headers={**HEADERS, **headers}) as client:
            began_at = time.perf_counter()
            for _ in range(times):
                await client.get(URL)
            return (time.perf_counter() - began_at) / times

    return lambda times: asyncio.run(calls(times))


class MockAdapter(BaseAdapter):
    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url or ""
        response._content = b"{}"
        return response

    def close(self) -> None:
        pass


def requests_requests(auth: Any, headers: dict[str, str]) -> Timed:
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", MockAdapter())
    session.headers.update({**HEADERS, **headers})
    session.auth = auth

    def run(times: int) -> float:
        began_at = time.perf_counter()
        for _ in range(times):
            session.get(URL)
        return (time.perf_counter() - began_at) / times

    return run


# --- report ----------------------------------------------------------------------------------------------------------


def ratio(ours: Timed, theirs: Timed, *, times: int, rounds: int) -> float:
    """Ours over theirs, in interleaved rounds after one to warm up."""
    ours(times), theirs(times)
    pairs = [(ours(times), theirs(times)) for _ in range(rounds)]
    return statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25, help="interleaved rounds of each pair (default 25)")
    rounds = parser.parse_args().rounds
    alice, hard_coded = source(), {"Authorization": BEARER}
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {rounds} rounds")
    print(f"{'':24}{'auth step / trivial auth':>28}{'whole request / hard-coded':>30}")
    for name, step, whole in (
        (
            "httpx",
            (httpx_step(httpx, HttpxAuth(alice)), httpx_step(httpx, trivial_flow(httpx))),
            (httpx_requests(httpx, HttpxAuth(alice), {}), httpx_requests(httpx, None, hard_coded)),
        ),
        (
            "httpx async",
            None,
            (httpx_async_requests(httpx, HttpxAuth(alice), {}), httpx_async_requests(httpx, None, hard_coded)),
        ),
        (
            "httpx2",
            (httpx_step(httpx2, Httpx2Auth(alice)), httpx_step(httpx2, trivial_flow(httpx2))),
            (httpx_requests(httpx2, Httpx2Auth(alice), {}), httpx_requests(httpx2, None, hard_coded)),
        ),
        (
            "requests",
            (requests_step(RequestsAuth(alice)), requests_step(TrivialRequestsAuth())),
            (requests_requests(RequestsAuth(alice), {}), requests_requests(None, hard_coded)),
        ),
    ):
        step_ratio = f"{ratio(*step, times=300, rounds=rounds):.2f}" if step else ""
        print(f"{name:24}{step_ratio:>28}{ratio(*whole, times=100, rounds=rounds):>30.3f}")


if __name__ == "__main__":
    main()
