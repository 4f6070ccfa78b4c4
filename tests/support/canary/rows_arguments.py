"""Rows: a secret in the place of each argument of what an application calls, where an error would quote it.

A name is shown where it is used (a subject, a client_id, a scope, a store key, a path, the name of a profile), so a
secret in its place is shown as that name. The rows are the arguments that are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from support.limits import PATIENCE

from blnk_auth import (
    AiohttpAuth,
    Auth,
    EncryptedStore,
    FileStore,
    Httpx2Auth,
    HttpxAuth,
    KeyringStore,
    KeyValueStore,
    MemoryStore,
    OAuthClient,
    Provider,
    RedisStore,
    RequestsAuth,
    Signer,
    SQLiteStore,
    SQLStore,
    StaticToken,
    Token,
)
from blnk_auth.config import load_profile
from blnk_auth.opentelemetry import Telemetry
from blnk_auth.stores import check_store, copy_store

from .table import add_row
from .world import World

Call = Callable[[World, Any], object]


def _client(**fixed: Any) -> dict[str, Call]:
    """Each setting of a client, with the others as they should be."""
    names = (
        "provider store client_auth private_key client_assertion key_id signing_algorithm policy on_event token_http "
        "cert proxy clock"
    ).split()

    def given(name: str, world: World, value: Any) -> object:
        if name in ("key_id", "signing_algorithm"):
            fixed["private_key"], fixed["client_auth"] = Signer(lambda _: b"", algorithm="ES256"), "private_key_jwt"
        settings = {"client_id": "c", "client_secret": "s", "redirect_uri": "http://127.0.0.1/c", **fixed, name: value}
        provider = settings.pop("provider", None) or world.provider()
        client = OAuthClient(provider, **settings)
        return client.for_itself().token()

    return {f"OAuthClient({name}=)": partial(given, name) for name in names}


CALLS: dict[str, Call] = {
    **_client(),
    "OAuthClient(client_secret=) with a line break": lambda world, value: world.client(client_secret=f"{value}\n"),
    "OAuthClient(client_secret=) as bytes": lambda world, value: world.client(client_secret=value.encode()),
    "OAuthClient(client_secret=) as a list": lambda world, value: world.client(client_secret=[value]),
    "OAuthClient(client_id=) with a line break": lambda world, value: world.client(client_id=f"{value}\n"),
    "OAuthClient(redirect_uri=)": lambda world, value: world.client(redirect_uri=value),
    "OAuthClient() by position": lambda world, value: OAuthClient(world.provider(), value),  # type: ignore[misc]
    "StaticToken(header=)": lambda world, value: StaticToken("k", api_origins=("https://a.test",), header=value),
    "StaticToken(api_origins=)": lambda world, value: StaticToken("k", api_origins=value),
    "StaticToken(api_origins=[])": lambda world, value: StaticToken("k", api_origins=(value,)),
    "StaticToken() with a line break": lambda world, value: StaticToken(
        f"{value}\n x", api_origins=("https://a.test",)
    ),
    "StaticToken(provider=)": lambda world, value: StaticToken("k", provider=value),
    "StaticToken() without origins": lambda world, value: StaticToken(value, api_origins=()),
    "StaticToken() as bytes": lambda world, value: StaticToken(value.encode(), api_origins=("https://a.test",)),
    "for_subject() of a list": lambda world, value: world.client().for_subject([value]),  # type: ignore[arg-type]
    "for_itself(parameters=)": lambda world, value: world.client().for_itself(parameters=[value]),  # type: ignore[arg-type]
    "for_itself(parameters={client_secret:})": lambda world, value: world.client().for_itself(
        parameters={"client_secret": value}
    ),
    "for_assertion(assertion=) with a line break": lambda world, value: world.client().for_assertion(
        assertion=f"{value}\n"
    ),
    "for_assertion(assertion=) as bytes": lambda world, value: world.client().for_assertion(assertion=value.encode()),
    "for_token_exchange(subject_token=) with a line break": lambda world, value: world.client().for_token_exchange(
        subject_token=f"{value}\n", subject_token_type="urn:type"
    ),
    "for_token_exchange(subject_token=) as a list": lambda world, value: world.client().for_token_exchange(
        subject_token=[value],  # type: ignore[arg-type]
        subject_token_type="urn:type",
    ),
    "for_itself(resource=)": lambda world, value: world.client().for_itself(resource=value),
    "start_authorization(parameters=)": lambda world, value: world.client().start_authorization("a", parameters=value),
    "start_authorization(parameters={state:})": lambda world, value: world.client().start_authorization(
        "a", parameters={"state": value}
    ),
    "authorize_by_exchange(parameters=)": lambda world, value: world.client().authorize_by_exchange(
        "a", grant_type="urn:acme:permission", parameters=value
    ),
    "authorize_by_exchange(parameters={client_secret:})": lambda world, value: world.client().authorize_by_exchange(
        "a", grant_type="urn:acme:permission", parameters={"client_secret": value}
    ),
    "authorize_device(on_prompt=)": lambda world, value: world.client().authorize_device("a", on_prompt=value),
    "authorize_interactively(pasted=)": lambda world, value: world.client().authorize_interactively(
        "a", pasted=[value], listen=False, open_browser=False, timeout=PATIENCE
    ),
    "authorize_interactively(port=)": lambda world, value: world.client().authorize_interactively("a", port=value),
    "finish_authorization(unechoed_state=)": lambda world, value: world.client().finish_authorization(
        "http://127.0.0.1/callback?code=c", unechoed_state=value
    ),
    "finish_authorization() of bytes": lambda world, value: world.client().finish_authorization(value.encode()),
    "adopt() of a text": lambda world, value: world.client().for_subject("a").adopt(value),
    "adopt() of a dict": lambda world, value: world.client().for_subject("a").adopt({"access_token": value}),  # type: ignore[arg-type]
    "adopt() of a token that no header carries": lambda world, value: (
        world.client().for_subject("a").adopt(Token(f"{value} x", refresh_token=value))
    ),
    "adopt() of a token that no store keeps": lambda world, value: (
        world.client().for_subject("a").adopt(Token(value, extra={value: object()}))
    ),
    "renew(rejected=)": lambda world, value: world.client().for_subject("a").renew(rejected=value),
    "headers()": lambda world, value: world.source().headers(value),
    "AiohttpAuth()": lambda world, value: AiohttpAuth(value),
    "Auth()": lambda world, value: Auth(value),
    "HttpxAuth()": lambda world, value: HttpxAuth(value),
    "Httpx2Auth()": lambda world, value: Httpx2Auth(value),
    "RequestsAuth()": lambda world, value: RequestsAuth(value),
    "Telemetry(on_event=)": lambda world, value: Telemetry(on_event=value),
    "Token.from_response() of a text": lambda world, value: Token.from_response(value),
    "Token.from_response() of a list": lambda world, value: Token.from_response({"access_token": [value]}),
    "Token.from_response(expires_at:)": lambda world, value: Token.from_response(
        {"access_token": value, "expires_at": value}
    ),
    "Token.from_dict() of a text": lambda world, value: Token.from_dict(value),
    "Token.from_dict(expires_at:)": lambda world, value: Token.from_dict({"access_token": value, "expires_at": value}),
    "EncryptedStore() of a text": lambda world, value: EncryptedStore(value, keys=[EncryptedStore.new_key()]),
    "EncryptedStore(keys=) of a text": lambda world, value: EncryptedStore(MemoryStore(), keys=value),
    "EncryptedStore(keys=)": lambda world, value: EncryptedStore(MemoryStore(), keys=[value]),
    "KeyValueStore()": lambda world, value: KeyValueStore(value),
    "KeyringStore(backend=)": lambda world, value: KeyringStore("x", backend=value).load("k"),
    "RedisStore(namespace=)": lambda world, value: RedisStore("redis://127.0.0.1:1/0", namespace=f"{value} x"),
    "RedisStore(lease=)": lambda world, value: RedisStore("redis://127.0.0.1:1/0", lease=value),
    "SQLStore(lease=)": lambda world, value: SQLStore("sqlite:///x", lease=value),
    "FileStore() of a list": lambda world, value: FileStore([value]),  # type: ignore[arg-type]
    "SQLiteStore() of a list": lambda world, value: SQLiteStore([value]),  # type: ignore[arg-type]
    "copy_store()": lambda world, value: copy_store(value, MemoryStore()),
    "check_store()": lambda world, value: check_store(value),
    "Provider(client_auth=)": lambda world, value: world.provider(client_auth=value),
    "Provider(token_parameters=)": lambda world, value: world.provider(token_parameters={"key": [value]}),
    "Provider(token_headers=)": lambda world, value: world.provider(token_headers={"X-Key": f"{value}\n"}),
    "Provider(token_headers={client_secret})": lambda world, value: world.provider(token_headers=[value]),
    "Provider(token_endpoint=) with a password": lambda world, value: world.provider(
        token_endpoint=f"https://user:{value}@as.test/token"
    ),
    "Provider(token_endpoint=) with an unquoted password": lambda world, value: world.provider(
        token_endpoint=f"https://user:{value}/x@as.test/token"
    ),
    "Provider(api_origins=) with a password": lambda world, value: world.provider(
        api_origins=(f"https://user:{value}@api.test",)
    ),
    "Provider.discover() with a password": lambda world, value: Provider.discover(f"https://user:{value}@as.test"),
    "Provider.discover() with a token": lambda world, value: Provider.discover(f"https://as.test/?token={value}"),
    "load_profile(overrides=)": lambda world, value: load_profile(overrides={"provider": value}),
    "load_profile(overrides={client_secret:})": lambda world, value: load_profile(
        overrides={"provider": "blnk_cloud", "client_id": "c", "client_secret": [value]}
    ),
}


def _rows() -> None:
    for name, call in CALLS.items():

        def operation(world: World, call: Call = call) -> object:
            return call(world, world.secrets.new("misplaced secret"))

        add_row(f"a secret for {name}", operation, "", raises=True)


_rows()
