"""Rows: what other libraries have stored, as it is and damaged."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from blnk_auth.migrate import (
    aadopt_once,
    adopt_once,
    from_authlib,
    from_hand_written,
    from_httpx_auth,
    from_requests_auth,
    from_requests_oauth2client,
    from_requests_oauthlib,
)

from .faults import STORE
from .table import add_row, row
from .world import World


def stored_pair(world: World) -> dict[str, Any]:
    """A token dict in which everything is a secret that may be one."""
    names = ("access_token", "refresh_token", "id_token", "client_secret")
    return {**{name: world.secrets.new(name.replace("_", " ")) for name in names}, "expires_at": world.clock() + 3600}


@row("from_authlib from_requests_oauthlib from_hand_written from_requests_oauth2client")
def a_token_dict(world: World) -> object:
    """Each gives a token that shows nothing."""
    pair = stored_pair(world)
    deflated = zlib.compressobj(wbits=-15)
    body = base64.urlsafe_b64encode(deflated.compress(json.dumps(pair).encode()) + deflated.flush())
    return [
        from_authlib(pair),
        from_requests_oauthlib(json.dumps(pair)),
        from_hand_written(pair),
        from_requests_oauth2client(body),
    ]


@row("from_httpx_auth from_requests_auth")
def a_token_cache(world: World) -> object:
    """Each entry, too."""
    pair = stored_pair(world)
    cache = {"key": [pair["access_token"], pair["expires_at"], pair["refresh_token"]]}
    return [*from_httpx_auth(cache).values(), *from_requests_auth(json.dumps(cache)).values()]


@row("adopt_once", failures=STORE)
def an_import(world: World) -> object:
    """The first one stores the pair, the second one leaves it."""
    source = world.look_at(world.client().for_subject("alice"))
    token = from_authlib(stored_pair(world))
    return adopt_once(source, token), adopt_once(source, token)


@row("aadopt_once", failures=STORE)
async def an_import_in_a_task(world: World) -> object:
    """The same, awaited."""
    source = world.look_at(world.client().for_subject("alice"))
    return await aadopt_once(source, from_authlib(stored_pair(world)))


# --- damaged in every place -------------------------------------------------------------------------------------------

_DAMAGES: dict[str, Callable[[str], Any]] = {
    "the token alone": lambda secret: secret,
    "a list": lambda secret: [secret],
    "a text that is cut off": lambda secret: f'{{"access_token": "{secret}',
    "an access token in bytes": lambda secret: {"access_token": secret.encode(), secret: secret},
    "a refresh token in a list": lambda secret: {"access_token": secret, "refresh_token": [secret]},
    "an expiry that is a token": lambda secret: {"access_token": secret, "expires_at": secret},
    "a lifetime that is a token": lambda secret: {"access_token": secret, "expires_in": secret},
    "a lifetime alone": lambda secret: {"access_token": secret, "expires_in": 60},
}

_DAMAGES_OF_CACHES: dict[str, Callable[[str], Any]] = {
    "a key that is a token": lambda secret: {secret: [secret, secret, secret]},
    "an entry that is a dict": lambda secret: {secret: {"access_token": secret}},
}


def _damaged(read: Callable[..., object], damage: Callable[[str], Any], world: World) -> object:
    return read(damage(world.secrets.new("stored token")))


# The readers of dicts share what reads them.
for _name, _damage in _DAMAGES.items():
    add_row(f"from_hand_written() of {_name}", partial(_damaged, from_hand_written, _damage), "", raises=True)
for _read in (from_authlib, from_requests_oauthlib, from_requests_oauth2client, from_httpx_auth, from_requests_auth):
    add_row(f"{_read.__name__}() of a token", partial(_damaged, _read, _DAMAGES["the token alone"]), "", raises=True)
for _name, _damage in _DAMAGES_OF_CACHES.items():
    add_row(f"from_httpx_auth() with {_name}", partial(_damaged, from_httpx_auth, _damage), "", raises=True)
add_row(
    "from_hand_written(timezone=)",
    lambda world: from_hand_written({}, timezone=world.secrets.new("time zone")),  # type: ignore[arg-type]
    "",
    raises=True,
)
add_row(
    "adopt_once() of a text",
    lambda world: adopt_once(world.client().for_subject("a"), world.secrets.new("token")),  # type: ignore[arg-type]
    "",
    raises=True,
)
add_row(
    "adopt_once(source=)",
    lambda world: adopt_once(world.secrets.new("source"), from_authlib({"access_token": "a"})),  # type: ignore[arg-type]
    "",
    raises=True,
)
