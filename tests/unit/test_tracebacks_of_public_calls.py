"""Each public call that raises over a value with a secret: no local variable of our frames shows it, and neither does
the error itself (promise 8).
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.fernet import Fernet
from support.leaks import no_secret_shown
from support.providers import acme
from support.scripted import ScriptedWorld
from support.token_endpoint import refusal

from blnk_auth import (
    EncryptedStore,
    FileStore,
    MemoryStore,
    OAuthClient,
    Provider,
    RedisStore,
    RequestsAuth,
    SQLiteStore,
    SQLStore,
    StaticToken,
    Token,
)
from blnk_auth.stores import open_store

SECRET = "s3cret-of-alice"
PAIR = {"access_token": f"at-{SECRET}", "refresh_token": f"rt-{SECRET}"}
CALLBACK = f"https://app.test/callback?code=c-{SECRET}&state=st-{SECRET}"


def client(**settings: Any) -> OAuthClient:
    """A client of a plain provider."""
    given: dict[str, Any] = {"client_id": "id", "client_secret": SECRET, "redirect_uri": "https://app.test/callback"}
    return OAuthClient(acme(), **{**given, **settings})


def state_of(record: dict[str, Any]) -> object:
    """Reads the state of a grant of which this record is stored."""
    store = MemoryStore()
    source = client(store=store).for_subject("alice")
    store.save(source.store_key, record, expected=None)
    return source.state


def adopted(store: Any) -> Any:
    """A source with a stored pair."""
    source = client(store=store).for_subject("alice")
    source.adopt(Token(PAIR["access_token"], refresh_token=PAIR["refresh_token"]))
    return source


def cut_in_sqlite(directory: Path, read: Callable[[Any, SQLiteStore], object]) -> object:
    """Reads a record whose last byte is missing."""
    store = SQLiteStore(directory / "tokens.db")
    source = adopted(store)
    store.close()
    with sqlite3.connect(directory / "tokens.db") as database:
        database.execute("update records set data = substr(data, 1, length(data) - 1)")
    database.close()
    return read(source, store)


def changed_file(directory: Path, change: Callable[[str], str], read: Callable[[Any, FileStore], object]) -> object:
    """Reads a record of a FileStore that somebody has changed."""
    store = FileStore(directory / "tokens")
    source = adopted(store)
    (file,) = (directory / "tokens").glob("*.json")
    file.write_text(change(file.read_text()))
    return read(source, store)


def with_another_key(_directory: Path) -> object:
    """Reads a record that another key encrypted."""
    inner = MemoryStore()
    EncryptedStore(inner, keys=[Fernet.generate_key().decode()]).save("k", PAIR, expected=None)
    return EncryptedStore(inner, keys=[Fernet.generate_key().decode()]).load("k")


def prepared_again(_directory: Path) -> object:
    """Prepares a request again whose token cannot be renewed any more."""
    world = ScriptedWorld()
    source = world.signed_in(access_token=PAIR["access_token"])
    auth = RequestsAuth(source)
    request = requests.Request("GET", "https://api.acme.test/x").prepare()
    auth(request)
    world.clock.advance(4000)
    world.server.will(refusal("invalid_client", status=401))
    return auth(request)


def configured(text: str) -> Callable[[Path], object]:
    """Reads a configuration file."""

    def read(directory: Path) -> object:
        file = directory / "config.toml"
        file.write_text(text)
        file.chmod(0o600)
        return OAuthClient.from_config("default", file)

    return read


PROFILE = '[profiles.default]\nprovider="blnk_cloud"\nclient_id="c"\n'
NEWER = '"blnk_auth":2'
OF_PROVIDER = {
    "name": "acme",
    "token_endpoint": "https://as.acme.test/token",
    "api_origins": ("https://api.acme.test",),
}
WITH_ISS = Provider(**OF_PROVIDER, issuer="https://as.acme.test", sends_iss=True)  # type: ignore[arg-type]
OTHER = dataclasses.replace(WITH_ISS, name="other")

CALLS: dict[str, Callable[[Path], object]] = {
    # --- a stored record ---
    "a bad member": lambda _: state_of({"schema": 1, "token": {**PAIR, "expires_at": "soon"}}),
    "a newer schema": lambda _: state_of({"schema": 2, "token": PAIR}),
    "no token": lambda _: state_of({"schema": 1, "token": [PAIR]}),
    "a cut record in SQLite": lambda d: cut_in_sqlite(d, lambda source, _: source.state),
    "a cut record, loaded": lambda d: cut_in_sqlite(d, lambda source, store: store.load(source.store_key)),
    "a cut record, asked for its token": lambda d: cut_in_sqlite(d, lambda source, _: fresh(source).token()),
    "a cut file": lambda d: changed_file(d, lambda text: text[:-5], lambda source, _: source.state),
    "a newer file": lambda d: changed_file(
        d, lambda text: text.replace('"blnk_auth":1', NEWER), lambda source, _: source.state
    ),
    "a newer file, loaded": lambda d: changed_file(
        d, lambda text: text.replace('"blnk_auth":1', NEWER), lambda source, store: store.load(source.store_key)
    ),
    "another key": with_another_key,
    # --- a callback ---
    "state twice": lambda _: client().finish_authorization(f"{CALLBACK}&state=x"),
    "code twice": lambda _: client().finish_authorization(f"{CALLBACK}&code=x"),
    "an unknown state": lambda _: client().finish_authorization(CALLBACK),
    "an unknown state, in a task": lambda _: asyncio.run(client().afinish_authorization(CALLBACK)),
    "no iss": lambda _: OAuthClient(WITH_ISS, client_id="c", client_secret="s").finish_authorization(CALLBACK),
    "another iss": lambda _: OAuthClient(OTHER, client_id="c", client_secret="s").finish_authorization(
        f"{CALLBACK}&iss=https://evil.test"
    ),
    "no answer": lambda _: client().finish_authorization(
        f"https://app.test/callback?foo=x-{SECRET}", unechoed_state=f"st-{SECRET}"
    ),
    "no URL": lambda _: client().finish_authorization(f"c-{SECRET}"),
    # --- a setting ---
    "the password of a key": lambda _: client(cert=("/nonexistent", "/nonexistent", SECRET)),
    "the password of a key, discovered": lambda _: Provider.discover(
        "https://as.acme.test", cert=("/nonexistent", "/nonexistent", SECRET)
    ),
    "a password beside token_http": lambda _: Provider.discover(
        "https://as.acme.test", cert=("/nonexistent", "/nonexistent", SECRET), token_http=requests.Session()
    ),
    "the password of a proxy": lambda _: client(proxy=f"ftp://user:{SECRET}@proxy.test:1"),
    "a PEM": lambda _: client(private_key=f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n", client_auth="private_key_jwt"),
    "PEM bytes": lambda _: client(
        private_key=f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n".encode(), client_auth="private_key_jwt"
    ),
    "a JWK": lambda _: client(private_key={"kty": "oct", "k": SECRET}, client_auth="private_key_jwt"),
    "an unknown method": lambda _: client(client_auth="bogus"),
    "an unsendable key": lambda _: StaticToken(f"{SECRET} key", api_origins=("https://api.test",)),
    "a key without origins": lambda _: StaticToken(SECRET, api_origins=()),
    "a key in a bad header": lambda _: StaticToken(SECRET, api_origins=("https://api.test",), header="bad header"),
    # --- a token ---
    "an answer without a token": lambda _: Token.from_response({"access_token": 5, "refresh_token": SECRET}),
    "a token with a bad member": lambda _: Token.from_dict({**PAIR, "expires_at": "soon"}),
    "an unsendable token": lambda _: client().for_subject("a").adopt(Token(f"{SECRET} at", refresh_token=SECRET)),
    "a dict for a token": lambda _: client().for_subject("a").adopt(PAIR),  # type: ignore[arg-type]
    "a dict for a token, in a task": lambda _: asyncio.run(
        client().for_subject("a").aadopt(PAIR)  # type: ignore[arg-type]
    ),
    "an unstorable member": lambda _: (
        client().for_subject("a").adopt(Token(PAIR["access_token"], extra={"x": object()}))
    ),
    "a text for a token": lambda _: client().for_subject("a").renew(rejected=SECRET),  # type: ignore[arg-type]
    "a request prepared again": prepared_again,
    # --- a store ---
    "a bad key": lambda _: EncryptedStore(MemoryStore(), keys=SECRET),
    "a bad list of keys": lambda _: EncryptedStore(MemoryStore(), keys=[SECRET]),
    "a Redis URL": lambda _: RedisStore(f"rediss+x://:{SECRET}@127.0.0.1:1/0"),
    "a SQL URL": lambda _: SQLStore(f"bogus://user:{SECRET}@127.0.0.1:1/x"),
    "the URL of a store": lambda _: open_store(f"bogus://user:{SECRET}@127.0.0.1:1/x"),
    "no JSON in SQLite": lambda d: SQLiteStore(d / "t.db").save("k", {**PAIR, "x": object()}, expected=None),
    "no JSON in a file": lambda d: FileStore(d / "t").save("k", {**PAIR, "x": object()}, expected=None),
    "no JSON in memory": lambda _: MemoryStore().save("k", {**PAIR, "x": object()}, expected=None),
    "a conflict in memory": lambda _: MemoryStore().save("k", PAIR, expected="other"),
    "a conflict in SQLite": lambda d: SQLiteStore(d / "t.db").save("k", PAIR, expected="other"),
    "a conflict in a file": lambda d: FileStore(d / "t").save("k", PAIR, expected="other"),
    # --- a configuration file ---
    "an unknown key": configured(f'{PROFILE}client_secret="{SECRET}"\nclient_secrett="x-{SECRET}"\n'),
    "a secret of the wrong type": configured(f'{PROFILE}client_secret=["{SECRET}"]\n'),
    "a secret in the wrong table": configured(f'client_secret="{SECRET}"\n{PROFILE}'),
    "broken TOML after a secret": configured(f'{PROFILE}client_secret="{SECRET}"\nx = \n'),
    "an unterminated secret": configured(f'{PROFILE}client_secret="{SECRET}\n'),
}


def fresh(source: Any) -> Any:
    """The same grant in another process, where nothing is in memory."""
    return client(store=source._current.state.store).for_subject("alice")


@pytest.mark.parametrize("call", CALLS)
def test_no_frame_of_the_package_shows_the_secret(call: str, tmp_path: Path) -> None:
    """Neither the locals of our frames, which debuggers and Sentry show, nor the error and what it is chained to."""
    with no_secret_shown(SECRET):
        CALLS[call](tmp_path)


def test_the_secrets_are_there_to_be_shown(tmp_path: Path) -> None:
    """The table tries what it promises: a record that can be read has them."""
    source = adopted(FileStore(tmp_path / "tokens"))
    (file,) = (tmp_path / "tokens").glob("*.json")
    assert json.loads(file.read_text())["data"]["token"]["access_token"] == PAIR["access_token"]
    assert source.state == "fresh"
