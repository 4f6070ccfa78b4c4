"""Target: what other libraries have stored (`blnk_auth.migrate`), and what has become of it."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

from fuzz.responses import MEMBERS
from fuzz.strategies import json_bodies
from fuzz.target import Target, check_message
from hypothesis import strategies as st

from blnk_auth import BlnkAuthError, MemoryStore, OAuthClient, Provider, Token
from blnk_auth.migrate import (
    adopt_once,
    from_authlib,
    from_hand_written,
    from_httpx_auth,
    from_requests_auth,
    from_requests_oauth2client,
    from_requests_oauthlib,
)

SECRET = "s3cret-that-another-library-has-stored"
NAMES = (*MEMBERS, "expires_at", "expiry", "created_at", "obtained_at", "issued_at", "dpop_key")

READERS: Mapping[str, Callable[[bytes], Any]] = {
    read.__name__: read
    for read in (
        from_authlib,
        from_requests_oauthlib,
        from_httpx_auth,
        from_requests_auth,
        from_requests_oauth2client,
        from_hand_written,
    )
}
_ACME = Provider(name="acme", token_endpoint="https://as.acme.test/token", api_origins=("https://api.acme.test",))

_PAIR = {"access_token": f"{SECRET}-1", "refresh_token": f"{SECRET}-2", "token_type": "Bearer"}
DOCUMENTS: list[dict[str, Any]] = [
    {**_PAIR, "expires_in": 3600, "expires_at": 1_900_000_000, "scope": ["a", "b"], "refresh_expires_in": 7200},
    {**_PAIR, "expires_at": "2026-11-27T10:30:00+00:00", "created_at": 1_900_000_000_000},
    {**_PAIR, "created_at": 1_900_000_000, "expires_in": "3600", "client_secret": SECRET},
    {"5e5e": [f"{SECRET}-1", 1_900_000_000.5, f"{SECRET}-2"], "6f6f": [f"{SECRET}-1", 1_900_000_000]},
]


def check_foreign_token(value: tuple[str, bytes]) -> None:
    """Each refresh token in it is in a token that a store keeps; or an error, which shows no secret."""
    name, body = value
    if name not in READERS:
        return
    try:
        found = READERS[name](body)
    except BlnkAuthError as error:
        check_message(str(error))
        assert SECRET not in f"{error!r} {error}"
        return
    try:
        document = _document(body)
    except (ValueError, RecursionError):
        # Ours reads more: a document that is too deep, or has a number that is too long.
        return
    tokens = [found] if isinstance(found, Token) else [*found.values()]
    expected = [document.get("refresh_token")] if isinstance(found, Token) else [*_refresh_tokens(document)]
    texts = [each.strip() if isinstance(each, str) else None for each in expected]
    assert [token.refresh_token for token in tokens] == [each or None for each in texts]
    for token in tokens:
        assert SECRET not in repr(token)
        source = OAuthClient(_ACME, client_id="id", client_secret="s", store=MemoryStore()).for_subject("alice")
        # A header cannot carry every text, and a store every number.
        with suppress(BlnkAuthError):
            assert adopt_once(source, token)
            assert json.loads(json.dumps(token.to_dict()))
            assert Token.from_dict(token.to_dict()) == token


def _document(body: bytes) -> dict[str, Any]:
    """What is in it, by a reader that is not ours."""
    if not body.lstrip().startswith((b"{", b"\xef\xbb\xbf")):
        with suppress(ValueError, zlib.error):
            body = zlib.decompress(base64.urlsafe_b64decode(body.strip() + b"=="), wbits=-15)
    return cast("dict[str, Any]", json.loads(body.decode("utf-8-sig", "replace")))


def _refresh_tokens(cache: dict[str, Any]) -> Iterator[str | None]:
    for entry in cache.values():
        yield entry[2] if len(entry) > 2 else None


def _deflated(body: bytes) -> bytes:
    deflated = zlib.compressobj(wbits=-15)
    return base64.urlsafe_b64encode(deflated.compress(body) + deflated.flush()).rstrip(b"=")


_BODIES = json_bodies(DOCUMENTS, NAMES)

TARGETS = (
    Target(
        "foreign_token",
        st.tuples(st.sampled_from(list(READERS)), _BODIES | _BODIES.map(_deflated)),
        check_foreign_token,
        frozenset(READERS),
    ),
)
