"""What a proof of possession (DPoP) costs for each request, beside a Bearer token and beside the bare signature.

A whole request over a mock transport, whose responses bring a nonce and a date, as an API's do. From its instructions
those of the same request with a Bearer token are taken away; what is left is compared with one signature of the same
key in the form of JWS, made by `cryptography` alone. Counted in instructions, so only where `valgrind` is.

Run: python benchmarks/proofs.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
from collections.abc import Callable
from typing import Any

import instructions
import peers
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

URL = f"{peers.MOCKED}/data/accounts?instance_id=instance_1"
CLIENTS = ("requests", "httpx", "httpx async", "httpx2", "httpx2 async")
PAYLOAD = b"x" * 500
"""About as long as what a proof signs."""

Sign = Callable[[], object]


def keys() -> dict[str, tuple[Any, Sign]]:
    """A key for each algorithm, and how `cryptography` signs with it."""
    curve, edwards = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    modulus = rsa.generate_private_key(65537, 2048)
    ecdsa, pss = ec.ECDSA(hashes.SHA256()), padding.PSS(padding.MGF1(hashes.SHA256()), 32)

    def es256() -> bytes:
        # RFC 7518 section 3.4: r and s, not DER.
        r, s = decode_dss_signature(curve.sign(PAYLOAD, ecdsa))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return {
        "ES256": (curve, es256),
        "EdDSA": (edwards, lambda: edwards.sign(PAYLOAD)),
        "PS256": (modulus, lambda: modulus.sign(PAYLOAD, pss, hashes.SHA256())),
    }


def pem(key: Any) -> str:
    encoded = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*encoded).decode()


def source(dpop: str | None) -> Any:
    """A source whose token is valid for a day, bound to this key."""
    import httpx

    from blnk_auth import OAuthClient, Provider

    answer = {"access_token": "a" * 43, "token_type": "Bearer" if dpop is None else "DPoP", "expires_in": 86_400}
    server = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=answer)), trust_env=False)
    provider = Provider(name="acme", token_endpoint="https://as.example.com/token", api_origins=(peers.MOCKED,))
    client = OAuthClient(provider, client_id="id", client_secret="s3cret", dpop=dpop, token_http=server)
    made = client.for_itself()
    made.token()
    return made


def headers() -> Callable[[], dict[str, str]]:
    """What each response has: the date, which changes once a second, and the nonce, once in ten responses."""
    counted = itertools.count()

    def made() -> dict[str, str]:
        number = next(counted)
        return {"Date": "Sat, 28 Nov 2026 10:00:00 GMT", "DPoP-Nonce": f"nonce-{number // 10}", "Server": "mock"}

    return made


def caller(client: str, dpop: str | None) -> Callable[[int], object]:
    """So many whole requests, one after another."""
    if client == "requests":
        return _requests_caller(source(dpop))
    package = peers.packaged(client.split(maxsplit=1)[0])
    return (_async_caller if client.endswith("async") else _httpx_caller)(package, source(dpop))


def _requests_caller(source: Any) -> Callable[[int], object]:
    import requests

    from blnk_auth import RequestsAuth

    made = headers()
    adapter = peers.requests_mock(peers.Mock())
    send = adapter.send

    def sent(request: Any, **kwargs: Any) -> Any:
        response = send(request, **kwargs)
        response.headers.update(made())
        return response

    adapter.send = sent
    session = requests.Session()
    session.trust_env, session.auth = False, RequestsAuth(source)
    session.mount(peers.MOCKED, adapter)
    session.get(URL)

    def run(times: int) -> None:
        for _ in range(times):
            session.get(URL)

    return run


def _auth(package: Any, source: Any) -> Any:
    import blnk_auth

    return (blnk_auth.HttpxAuth if package.__name__ == "httpx" else blnk_auth.Httpx2Auth)(source)


def _httpx_caller(package: Any, source: Any) -> Callable[[int], object]:
    made = headers()
    transport = package.MockTransport(lambda _: package.Response(200, content=b"{}", headers=made()))
    client = package.Client(transport=transport, auth=_auth(package, source), trust_env=False)
    client.get(URL)

    def run(times: int) -> None:
        for _ in range(times):
            client.get(URL)

    return run


def _async_caller(package: Any, source: Any) -> Callable[[int], object]:
    made = headers()

    async def answer(_: Any) -> Any:
        return package.Response(200, content=b"{}", headers=made())

    async def arun(times: int) -> None:
        auth = _auth(package, source)
        async with package.AsyncClient(transport=package.MockTransport(answer), auth=auth, trust_env=False) as client:
            await client.get(URL)
            for _ in range(times):
                await client.get(URL)

    return lambda times: asyncio.run(arun(times))


def cases(*, quick: bool) -> dict[str, instructions.Case]:
    made: dict[str, instructions.Case] = {f"Bearer ({client})": caller(client, None) for client in CLIENTS}
    for algorithm, (key, sign) in keys().items():
        if quick and algorithm != "ES256":
            continue
        made[algorithm] = _repeated(sign)
        for client in CLIENTS if algorithm == "ES256" else ("httpx",):
            made[f"{algorithm} ({client})"] = caller(client, pem(key))
    return made


def _repeated(sign: Sign) -> instructions.Case:
    def run(times: int) -> None:
        for _ in range(times):
            sign()

    return run


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures of this section; empty where instructions cannot be counted."""
    if not instructions.is_available():
        return {}
    counted = instructions.count(__file__, ["--cases", *(["--quick"] if quick else [])])
    found = {}
    for label, whole in counted.items():
        algorithm, _, client = label.partition(" ")
        if client and algorithm != "Bearer":
            bearer, bare = counted[f"Bearer {client}"], counted[algorithm]
            found[label] = {"bearer": bearer, "whole": whole, "bare": bare, "over_bare": (whole - bearer) / bare}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only ES256")
    parser.add_argument("--cases", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cases:
        instructions.run_cases(cases(quick=arguments.quick), few=2, many=22)
        return
    json.dump(measure(quick=arguments.quick), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
