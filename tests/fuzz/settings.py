"""Targets: what users write. The configuration file, references to the environment, store URLs, keys."""

from __future__ import annotations

import json
import os
import string
from contextlib import chdir, suppress
from typing import Any

from fuzz.records import directory
from fuzz.strategies import HOSTILE_TEXTS, TEXTS, URL_PIECES, edited, json_bodies, texts_of
from fuzz.target import Target, only_our_errors
from hypothesis import strategies as st
from support.providers import acme

from blnk_auth import OAuthClient, StaticToken
from blnk_auth.config import load_profile
from blnk_auth.config._document import read_profiles
from blnk_auth.config._references import UnresolvedReference, expand, from_keyring, has_reference, is_plain
from blnk_auth.config._settings import PROVIDERS, settings_of
from blnk_auth.stores import open_store
from blnk_auth.stores._server_url import pickled_url
from blnk_auth.stores._urls import sqlite_path

FILE = """\
[profiles.default]
provider = "custom"
name = "acme"
client_id = "id"
client_secret = "${ACME_SECRET}"
token_endpoint = "https://as.acme.test/token"
authorization_endpoint = "https://as.acme.test/authorize"
api_origins = ["https://api.acme.test"]
redirect_uri = "http://127.0.0.1/callback"
store = "memory:"
token_parameters = { tenant = "a" }
refresh_idle_lifetime = 86400

[profiles.bank]
provider = "blink"
client_id = "id"
base_url = "https://api.b.test"
target_id = "IIDP99999-{subject}"
user_agent = "Acme 1.0"
username = "u"
"""
ENVIRONMENT = {"ACME_SECRET": "s3cret-in-the-environment", "EMPTY": "", "ODD": "\ud800"}

_RAW = [
    *(
        '"x"',
        '""',
        '"\\u0000"',
        '"\\u202e"',
        "'''\n'''",
        "1",
        "-1",
        "1e400",
        "inf",
        "nan",
        "true",
        "[]",
        "[1]",
        '["a", "b"]',
    ),
    *(
        "[[[[]]]]",
        "{}",
        "{ a = 1 }",
        '{ a = "b" }',
        "1979-05-27T07:32:00Z",
        "07:32:00",
        "9" * 5_000,
        "[" * 900 + "]" * 900,
    ),
    *(
        "${",
        '"${"',
        '"$${x}"',
        '"${NO_SUCH}"',
        '"${ODD}"',
        '"keyring:a/b"',
        '"keyring:"',
        '"~nobody/x"',
        '"/\\u0000"',
        '"a" * 2',
    ),
]
_KEYS = sorted({name for provider in PROVIDERS for name in settings_of(provider)})


@st.composite
def files(draw: st.DrawFn) -> str:
    """The file with some of its values replaced, and keys added."""
    lines = FILE.splitlines()
    for _ in range(draw(st.integers(0, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        key, equals, _value = lines[number].partition(" = ")
        if draw(st.booleans()) and equals:
            lines[number] = f"{key} = {draw(st.sampled_from(_RAW) | TEXTS.map(json.dumps))}"
        else:
            lines.insert(number, f"{draw(st.sampled_from(_KEYS))} = {draw(st.sampled_from(_RAW))}")
    return "\n".join(lines)


def check_profile(value: tuple[str, bytes]) -> None:
    """A file is a client, or a `ConfigurationError`, which never quotes a secret."""
    name, content = value
    with directory() as path, chdir(path):
        file = path / "config.toml"
        file.write_bytes(content)
        file.chmod(0o600)
        with only_our_errors():
            read_profiles(file)
        with only_our_errors():
            profile = load_profile(name, file, environment=ENVIRONMENT)
            # Neither the network nor a keyring is asked here.
            if profile.settings["provider"] != "discover" and not any(map(callable, profile.settings.values())):
                made = profile.make(OAuthClient, store="memory:")
                assert "s3cret-in-the-environment" not in f"{profile!r} {made!r} {made.provider!r}"


def check_reference(value: str) -> None:
    """Each reference is replaced by what it names, once, and nothing else is."""
    has_reference(value)
    is_plain(value)
    with suppress(UnresolvedReference):
        from_keyring(value)
    try:
        expanded = expand(value, ENVIRONMENT)
    except UnresolvedReference as error:
        assert "s3cret" not in error.problem
        return
    if "$" not in value:
        assert expanded == value
    assert expand(value.replace("${", "$${"), {}) == value or "$${" in value or "$$" in value


def check_store_url(url: str) -> None:
    """A store URL is a store, or one of our errors, which has no part of it that may be a password."""
    with directory() as path, chdir(path):
        former, os.environ["HOME"] = os.environ.get("HOME", ""), str(path / "home")
        try:
            with only_our_errors():
                store: Any = open_store(url, create=False)
                # As the name of the user it would be shown: only what follows a colon is a password.
                assert "s3cret-of-store" not in repr(store) or ":s3cret-of-store" not in url
                getattr(store, "close", lambda: None)()
            sqlite_path(url)
            pickled = pickled_url(url, "url")
            assert pickled == url or "NotPickled" in type(pickled).__name__
        finally:
            os.environ["HOME"] = former
        assert list(path.iterdir()) == [], "a store was created that should have been there"


def check_private_key(value: tuple[str, str]) -> None:
    """A private key in any form signs, or is a `ConfigurationError`."""
    text, kind = value
    key: Any = text
    if kind == "jwk":
        try:
            key = json.loads(text)
        except (ValueError, RecursionError):
            return
    with only_our_errors():
        client = OAuthClient(acme(), client_id="id", client_auth="private_key_jwt", private_key=key)
        client._state.credentials.prove(audience="https://as.acme.test/token", now=1_800_000_000.0)


def check_api_key(value: tuple[str, str]) -> None:
    """A fixed key and the name of its header can be sent, or are refused when they are given."""
    key, header = value
    with only_our_errors():
        source = StaticToken(key, api_origins=("https://api.acme.test",), header=header)
        sent = source.headers("https://api.acme.test/x")
        assert all(name.isascii() and text.isprintable() for name, text in sent.items())


EC_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    "kid": "1",
    "alg": "ES256",
}
"""The example of RFC 7515 appendix A.3."""

_PEM = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----\n"
_JWKS = json_bodies([EC_KEY, {"kty": "oct", "k": "AAAA"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}], list(EC_KEY))
_SCHEMES = [
    *(
        "sqlite:///",
        "sqlite:////",
        "file:///",
        "file:///~/",
        "redis://",
        "rediss://",
        "postgresql+psycopg://",
        "mysql+pymysql://",
    ),
    *(
        "keyring:",
        "memory:",
        "sqlite+x://",
        "user:s3cret-of-store@",
        "?check_permissions=false",
        "localhost",
        "%00",
        "%2e%2e/",
    ),
]
STORE_URLS = (
    st.builds("{}{}".format, st.sampled_from(_SCHEMES), texts_of([*URL_PIECES, *_SCHEMES], 5)) | texts_of(URL_PIECES, 4)
).filter(lambda url: not url.lower().startswith("keyring"))

TARGETS = (
    Target(
        "profile",
        st.tuples(
            st.sampled_from(["default", "bank"]) | st.sampled_from(HOSTILE_TEXTS),
            (files() | files().flatmap(lambda text: edited(text, [*HOSTILE_TEXTS, "[", "]", "=", "."]))).map(
                lambda text: text.encode("utf-8", "surrogatepass")
            )
            | st.binary(max_size=60),
        ),
        check_profile,
    ),
    Target(
        "reference",
        texts_of(["${", "}", "$", "${ACME_SECRET}", "${EMPTY}", "${ODD}", "a", "keyring:", "/", "{", "\n"]),
        check_reference,
    ),
    Target("store_url", STORE_URLS, check_store_url),
    Target(
        "private_key",
        st.tuples(_JWKS.map(lambda body: body.decode("utf-8", "replace")), st.just("jwk"))
        | st.tuples(st.just(_PEM).flatmap(lambda pem: edited(pem, HOSTILE_TEXTS)) | TEXTS, st.just("pem")),
        check_private_key,
        frozenset(["jwk", "pem"]),
    ),
    Target(
        "api_key",
        st.tuples(TEXTS, st.sampled_from(["Authorization", "X-Key"]) | st.text(string.printable, max_size=6) | TEXTS),
        check_api_key,
    ),
)
