"""Rows: tokens that are bound to a DPoP key, which is a secret of its own, made here or given by the application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from joserfc.jwk import ECKey

from blnk_auth import OAuthClient, Signer, TokenSource
from blnk_auth._renewal.stored_record import GrantRecord

from .faults import ONE_OF_EACH, TOKEN_REQUEST, quotes
from .rows_clients import private_key
from .table import add_row, row
from .world import World

REFUSALS = quotes("token", ("error_description", "error_description of invalid_grant", "error", "HTML"))


def _jwk(world: World) -> dict[str, Any]:
    return dict(ECKey.import_key(private_key(world)).as_dict(private=True))


def _mark_stored_keys(world: World) -> None:
    """Search for each generated key, which a record or a pending sign-in has by now."""
    for key in world.store.inner.keys(""):
        record = world.store.inner.load(key)
        jwk = {} if record is None else record.data.get("dpop", {}).get("jwk", {})
        if jwk:
            world.secrets.add("private key", jwk["d"])


def _bound(world: World, client: OAuthClient) -> TokenSource:
    """Sign in and renew, with a server that binds its tokens."""
    world.server.members["token_type"] = "DPoP"
    start = client.start_authorization("alice")
    world.secrets.add("state", start.state)
    _mark_stored_keys(world)
    source = world.look_at(client.finish_authorization(world.callback(start.url)))
    source.renew()
    cached = source._credential.fresh()
    record = GrantRecord.from_data(world.store.inner.load(source.store_key).data, "key")  # type: ignore[union-attr]
    world.look_at(
        client._state.proofs, None if cached is None else cached.dpop, record.dpop, repr(cached), repr(record)
    )
    return source


@row("", failures=(*TOKEN_REQUEST, *REFUSALS))
def a_grant_with_a_key_of_its_own(world: World) -> object:
    """The key is made with the sign-in, and is in the store from then on."""
    return _bound(world, world.client(dpop=True))


@row("", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
def a_bearer_answer_where_a_key_was_to_be_bound(world: World) -> object:
    """The stored grant gets a key, and the answer is refused."""
    client = world.client(dpop=True)
    source = world.expired(client)
    world.server.members["token_type"] = "DPoP"
    token = source.token()
    _mark_stored_keys(world)
    return token


@row("", raises=True)
def a_bound_grant_without_its_key(world: World) -> object:
    """A client without `dpop` finds the record, and refuses it."""
    _bound(world, world.client(dpop=True))
    return world.client().for_subject("alice").token()


@row("", raises=True)
def a_bound_grant_with_another_key(world: World) -> object:
    """A client with another key of its own finds the record, and names the thumbprint."""
    _bound(world, world.client(dpop=_jwk(world)))
    return world.client(dpop=_jwk(world)).for_subject("alice").token()


def _signer(world: World) -> Signer:
    key: Any = ECKey.import_key(private_key(world))

    def sign(message: bytes) -> bytes:
        from joserfc.jws import JWSRegistry

        return JWSRegistry.algorithms["ES256"].sign(message, key)

    return Signer(sign, "ES256", public_jwk=dict(key.as_dict(private=False)))


def _callable(world: World) -> Callable[[], Any]:
    pem = private_key(world)
    return lambda: world.fetched(pem)


OWN_KEYS: dict[str, Callable[[World], Any]] = {
    "a PEM": private_key,
    "PEM bytes": lambda world: private_key(world).encode(),
    "a JWK": _jwk,
    "a callable": _callable,
    "a Signer": _signer,
}

WRONG_KEYS: dict[str, Callable[[World], Any]] = {
    "cut": lambda world: private_key(world)[:-80],
    "a JWK without its curve": lambda world: {**_jwk(world), "crv": "P-999"},
    "a JWK for another algorithm": lambda world: {**_jwk(world), "alg": "RS256"},
    "a symmetric JWK": lambda world: {"kty": "oct", "k": world.secrets.new("private key")},
    "no key": lambda world: world.secrets.new("private key"),
    "in a list": lambda world: [private_key(world)],
    "a Signer with the private key": lambda world: Signer(lambda _: b"", "ES256", public_jwk=_jwk(world)),
    "on another curve": lambda world: Signer(
        lambda _: b"", "ES256", public_jwk=dict(ECKey.generate_key("P-384").as_dict(private=True))
    ),
}


def _key_rows() -> None:
    for name, make in OWN_KEYS.items():

        def signed_in(world: World, make: Callable[[World], Any] = make) -> object:
            return _bound(world, world.client(dpop=make(world)))

        add_row(f"tokens bound to {name}", signed_in, "", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
    for name, make in WRONG_KEYS.items():

        def given(world: World, make: Callable[[World], Any] = make) -> object:
            return world.client(dpop=make(world))

        add_row(f"dpop {name}", given, "", raises=True)


_key_rows()


@row("", raises=True)
def a_dpop_signer_that_raises(world: World) -> object:
    """With what it signs in its text, and the PIN of its device."""
    public = dict(ECKey.import_key(private_key(world)).as_dict(private=False))

    def sign(message: bytes) -> bytes:
        raise OSError(f"{message.decode()} {world.secrets.new('password of a key')}")

    world.server.members["token_type"] = "DPoP"
    return world.client(dpop=Signer(sign, "ES256", public_jwk=public)).for_itself().token()
