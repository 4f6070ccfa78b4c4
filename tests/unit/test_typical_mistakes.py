"""What users write by mistake in code: each gets an error that names the parameter, and the right remedy.

The same for the command line is in tests/cli/test_typical_mistakes.py; the wrong auth class or source is in
test_auth_mistakes.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from blnk_auth import (
    BLink,
    BlnkAuthError,
    BlnkCloud,
    ConfigurationError,
    Flinks,
    OAuthClient,
    Provider,
    RenewalPolicy,
    SQLiteStore,
    StaticToken,
    Token,
)
from blnk_auth.stores import open_store

ORIGIN = "https://api.acme.test"


def provider(**settings: Any) -> Provider:
    usual = {
        "name": "acme",
        "token_endpoint": "https://as.acme.test/token",
        "authorization_endpoint": "https://as.acme.test/authorize",
        "api_origins": (ORIGIN,),
    }
    return Provider(**{**usual, **settings})


def client(of: Any = None, **settings: Any) -> OAuthClient:
    return OAuthClient(of or provider(), **{"client_id": "id", "client_secret": "a-s3cret", **settings})


def blink(**settings: Any) -> Provider:
    usual = {"base_url": "https://six.test/v2", "target_id": "T", "user_agent": "Acme 1"}
    return BLink(**{**usual, **settings})


class Mistake(NamedTuple):
    """What is done, the parameter that the error names, what is wrong, and what to do."""

    make: Callable[[], object]
    parameter: str | None
    problem: str
    remedy: str


MISTAKES = {
    "the provider's class": Mistake(
        lambda: client(BlnkCloud), "provider", "provider must be a Provider", "pass BlnkCloud()"
    ),
    "the provider's name": Mistake(
        lambda: client("blnk_cloud"), "provider", "provider must be a Provider, not 'blnk_cloud'", "pass BlnkCloud()"
    ),
    "a variable that is not set": Mistake(
        lambda: client(client_secret=None), "client_secret", "client_secret is missing", "pass the secret"
    ),
    "a secret with its line break": Mistake(
        lambda: client(client_secret="a-s3cret\n"), "client_secret", "ends with a newline", "read from a file"
    ),
    "a secret in bytes": Mistake(
        lambda: client(client_secret=b"a-s3cret"), "client_secret", "client_secret must be a string", "as the provider"
    ),
    "a redirect without its colon": Mistake(
        lambda: client(redirect_uri="https//app.test/cb"), "redirect_uri", "must be an absolute URI", "registered"
    ),
    "a redirect by http": Mistake(
        lambda: client(redirect_uri="http://app.test/cb"), "redirect_uri", "uses http to 'app.test'", "use https"
    ),
    "a way to authenticate": Mistake(
        lambda: client(client_auth="basic"), "client_auth", "client_auth 'basic' is unknown", "client_secret_basic"
    ),
    "a key that is a file name": Mistake(
        lambda: client(client_auth="private_key_jwt", client_secret=None, private_key="key.pem"),
        "private_key",
        "neither a PEM private key nor a JWK",
        "pass the content",
    ),
    "no verification": Mistake(
        lambda: client(verify=False), "verify", "verify must not be False", "pass True, the path of a CA file"
    ),
    "a proxy without its scheme": Mistake(
        lambda: client(proxy="proxy.test:3128"), "proxy", "proxy must be the URL of a proxy", "http://proxy.example.com"
    ),
    "a store as a file": Mistake(
        lambda: client(store="tokens.db"), "store", "does not name a kind of store", "sqlite:///tokens.db"
    ),
    "a store as a path": Mistake(
        lambda: client(store=Path("tokens.db")), "store", "store must be a store or its URL", "pass SQLiteStore(path)"
    ),
    "a store's class": Mistake(
        lambda: client(store=SQLiteStore), "store", "not the class SQLiteStore", "make an instance: SQLiteStore(...)"
    ),
    "the URL of a store": Mistake(
        lambda: client(store="sqllite:///t.db"), "store", "'sqllite' does not name a kind", "did you mean sqlite:?"
    ),
    "a path of Windows": Mistake(
        lambda: open_store("C:\\tokens.db"), "url", "'C' does not name a kind", "a file is written sqlite:///tokens.db"
    ),
    "a URL for a path": Mistake(
        lambda: SQLiteStore("sqlite:///tokens.db"), "path", "path must be a path, not a URL", "pass the path alone"
    ),
    "an endpoint by http": Mistake(
        lambda: provider(token_endpoint="http://as.acme.test/token"), "token_endpoint", "uses http", "use https"
    ),
    "an endpoint without its host": Mistake(
        lambda: provider(token_endpoint="/token"), "token_endpoint", "must be an absolute URL", "https://host/path"
    ),
    "origins as one string": Mistake(
        lambda: provider(api_origins=ORIGIN), "api_origins", "must be a sequence", f"write api_origins=('{ORIGIN}',)"
    ),
    "an origin with a path": Mistake(
        lambda: provider(api_origins=(f"{ORIGIN}/v1",)), "api_origins", "more than an origin", f"write only '{ORIGIN}'"
    ),
    "an origin with a pattern": Mistake(
        lambda: provider(api_origins=("https://*.acme.test",)), "api_origins", "not a pattern", "list each host"
    ),
    "a base URL with the endpoint": Mistake(
        lambda: BlnkCloud(base_url=f"{ORIGIN}/oauth/token"), "base_url", "/oauth/token is added", "leave /oauth/token"
    ),
    "a host with a path": Mistake(
        lambda: Flinks(host="https://ob.flinksapp.com/api/v1"), "host", "more than an origin", "write only"
    ),
    "bLink without its user": Mistake(
        lambda: client(blink(), client_secret=None), "username", "username is missing", "pass the user's e-banking name"
    ),
    "bLink's own token": Mistake(
        lambda: client(blink(username="u", client_auth="none"), client_secret=None).for_itself(),
        "for_itself",
        "bLink does not offer the client_credentials grant",
        "use for_subject()",
    ),
    "metadata for an issuer": Mistake(
        lambda: Provider.discover("https://as.acme.test/.well-known/openid-configuration"),
        "issuer",
        "issuer must be the issuer's own URL",
        "leave /.well-known/",
    ),
    "an issuer without its scheme": Mistake(
        lambda: Provider.discover("as.acme.test"), "issuer", "issuer must be an absolute URL", "https://host/path"
    ),
    "a Bearer header for a key": Mistake(
        lambda: StaticToken("Bearer a-s3cret", api_origins=(ORIGIN,)),
        "value",
        "without spaces",
        "pass it without the word Bearer",
    ),
    "a Bearer header for a token": Mistake(
        lambda: client().for_subject("a").adopt(Token("Bearer a-s3cret")),
        "token",
        "has characters that no header can carry",
        "pass it without the word Bearer",
    ),
    "a dict for a token": Mistake(
        lambda: client().for_subject("a").adopt({"access_token": "a-s3cret"}),  # type: ignore[arg-type]
        "token",
        "token must be a Token, not a dict",
        "Token.from_response(...)",
    ),
    "no subject": Mistake(
        lambda: client().for_subject(""),
        "subject",
        "subject must be a non-empty string",
        "your own lasting id of the user",
    ),
    "a subject that is a number": Mistake(
        lambda: client().for_subject(42),  # type: ignore[arg-type]
        "subject",
        "subject must be a non-empty string",
        "your own lasting id of the user",
    ),
    "a sign-in without a redirect": Mistake(
        lambda: client().start_authorization("a"), "redirect_uri", "redirect_uri is missing", "registered"
    ),
    "the code for the callback": Mistake(
        lambda: client(redirect_uri="https://app.test/cb").finish_authorization("a-s3cret"),
        "callback_url",
        "must be the full URL",
        "pass it as the browser sent it",
    ),
    "a path for a URL": Mistake(
        lambda: client().for_subject("a").headers("/accounts"), "url", "must be an absolute URL", "pass the whole URL"
    ),
    "a timedelta for seconds": Mistake(
        lambda: RenewalPolicy(request_deadline=timedelta(seconds=5)),  # type: ignore[arg-type]
        "request_deadline",
        "must be a number",
        "leave it out for the default, 30",
    ),
    "nobody has signed in": Mistake(
        lambda: client().for_subject("a").token(), None, "nothing is stored for subject 'a'", "start_authorization()"
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_gets_its_remedy(mistake: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the parameter, what was wrong and what to do; it shows no secret, and no file is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BlnkAuthError) as caught:
        mistake.make()
    error = caught.value
    assert isinstance(error, ConfigurationError) == (mistake.parameter is not None)
    assert error.parameter == mistake.parameter
    assert mistake.problem in error.problem
    assert mistake.remedy in (error.remedy or "")
    assert "a-s3cret" not in str(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: client(clientid="id"), "clientid"),
        (lambda: provider(token_url="https://as.acme.test"), "token_url"),
        (lambda: OAuthClient(provider()), "client_id"),  # type: ignore[call-arg]
        (lambda: Flinks(), "host"),  # type: ignore[call-arg]  # noqa: PLW0108
    ],
)
def test_a_parameter_that_is_misspelt_or_missing_is_named(make: Callable[[], object], name: str) -> None:
    """By Python itself, as for every function."""
    with pytest.raises(TypeError, match=rf"'{name}'"):
        make()
