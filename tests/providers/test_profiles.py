"""A provider is data: three more of them, each a short file without a branch elsewhere, and the guide's own."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey
from support.certificates import Certificates
from support.clients import HTTPX, Kind, through_every_client
from support.errors import raises
from support.providers import acme_at
from support.sites import Received, Reply, Site

import blnk_auth
from blnk_auth import ConfigurationError, OAuthClient, Provider, Token
from blnk_auth.providers._mastercard_open_finance_europe import MastercardOpenFinanceEurope
from blnk_auth.providers._truelayer import TrueLayer
from blnk_auth.providers._uk_open_banking import UKOpenBanking
from blnk_auth.testing import Clock

PACKAGE = Path(blnk_auth.__file__).parent
PROFILES = ("mastercard_open_finance_europe", "truelayer", "uk_open_banking")
NOW = 1_800_000_000.0


class Bank:
    """A server that renews and an API that rejects the first token; what arrived is in `site.received`."""

    def __init__(self, tls: Any = None) -> None:
        self.site = Site(self._answer, tls=tls)

    def _answer(self, request: Received) -> Reply:
        if request.path == "/token":
            return Reply.json(
                {"access_token": "at1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt1"}
            )
        return Reply.json({}) if request.authorization == "Bearer at1" else Reply.rejected()

    def of(self, path: str) -> list[Received]:
        return [request for request in self.site.received if request.path == path]


def at_the(bank: Bank, provider: Provider) -> Provider:
    """The same provider at another address."""
    origin = bank.site.origin
    return dataclasses.replace(provider, token_endpoint=f"{origin}/token", api_origins=(origin,))


def go_through(kind: Kind, client: OAuthClient, bank: Bank, **settings: Any) -> None:
    """A rejection, a renewal, and the request again."""
    source = client.for_subject("alice")
    source.adopt(Token("at0", refresh_token="rt0", expires_at=NOW + 3600))
    with kind.open(source, **settings) as http:
        assert http.get(f"{bank.site.origin}/accounts").status == 200


@through_every_client
def test_mastercard_takes_json_with_basic(kind: Kind) -> None:
    """Encoding and client authentication are independent settings."""
    made = MastercardOpenFinanceEurope(
        token_endpoint="https://mc.test/token",
        authorization_endpoint="https://mc.test/authorize",
        api_origins=("https://api.mc.test",),
    )
    bank = Bank()
    with bank.site:
        client = OAuthClient(at_the(bank, made), client_id="id", client_secret="s3cret", clock=Clock())
        go_through(kind, client, bank)
    (sent,) = bank.of("/token")
    assert sent.headers["content-type"] == "application/json"
    assert sent.body == b'{"grant_type": "refresh_token", "refresh_token": "rt0"}'
    assert sent.basic == ("id", "s3cret")


@through_every_client
def test_truelayer_takes_a_form_with_the_secret(kind: Kind) -> None:
    """And wants to be used every 30 days."""
    bank = Bank()
    with bank.site:
        client = OAuthClient(at_the(bank, TrueLayer()), client_id="id", client_secret="s3cret", clock=Clock())
        go_through(kind, client, bank)
    (sent,) = bank.of("/token")
    assert sent.form["client_secret"] == "s3cret"
    assert sent.authorization is None


def test_truelayer_has_a_sandbox_of_its_own() -> None:
    """Other hosts, and so other store keys; credentials are deleted elsewhere."""
    live, test = TrueLayer(), TrueLayer(sandbox=True, api_origins=("https://mirror.test",))
    assert live.environment == "https://auth.truelayer.com"
    assert test.environment == "https://auth.truelayer-sandbox.com"
    assert repr(test.origins) == "<AllowedOrigins https://api.truelayer-sandbox.com https://mirror.test>"
    source = OAuthClient(live, client_id="id", client_secret="s").for_subject("alice")
    source.adopt(Token("at", refresh_token="rt"))
    with raises(ConfigurationError, parameter="revocation_endpoint"):
        source.revoke()


@through_every_client
def test_uk_open_banking_is_private_key_jwt_over_mutual_tls(kind: Kind, certificates: Certificates) -> None:
    """Signed for each attempt, with the certificate, and an interaction id of its own for each API call."""
    key = rsa.generate_private_key(65537, 2048) if not KEYS else KEYS[0]
    KEYS[:] = [key]
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    bank = Bank(tls=certificates.server())
    with bank.site:
        origin = bank.site.origin
        made = UKOpenBanking(
            name="acme_bank",
            issuer=origin,
            token_endpoint=f"{origin}/token",
            api_origins=(origin,),
            assertion_audience="issuer",
        )
        client = OAuthClient(
            made,
            client_id="software-1",
            private_key=pem,
            key_id="k1",
            cert=certificates.files("software-1"),
            verify=certificates.ca_file,
            clock=Clock(),
        )
        go_through(kind, client, bank, verify=certificates.context("software-1"))
    (sent,) = bank.of("/token")
    claims = jwt.decode(sent.form["client_assertion"], RSAKey.import_key(pem), algorithms=["PS256"]).claims
    assert (claims["aud"], claims["sub"]) == (made.issuer, "software-1")
    ids = [request.headers["x-fapi-interaction-id"] for request in bank.of("/accounts")]
    assert len(set(ids)) == 2


KEYS: list[rsa.RSAPrivateKey] = []


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_has_under_thirty_lines_of_code_and_is_marked_as_unverified(name: str) -> None:
    """Nobody mistakes general knowledge for a promise."""
    tree = ast.parse((PACKAGE / "providers" / f"_{name}.py").read_text("utf-8"))
    assert "It was never tried with " in (ast.get_docstring(tree) or "").replace("\n", " ")
    for node in [tree, *(each for each in tree.body if isinstance(each, ast.FunctionDef))]:
        if ast.get_docstring(node) is not None:
            del node.body[0]
    assert len(ast.unparse(tree).splitlines()) < 30


def test_the_guides_provider_has_under_thirty_lines() -> None:
    """What the guide promises of a new provider holds for the one that it writes."""
    guide = Path(__file__).parents[2] / "docs" / "how-to" / "describe-a-provider.md"
    (block,) = [part for part in guide.read_text("utf-8").split("```") if "def Acme(" in part]
    lines = block.removeprefix("python").strip().splitlines()
    assert lines[0].startswith("import")
    assert len(lines) < 30


def test_the_profiles_are_not_among_the_public_names() -> None:
    """They are imported from their own modules."""
    assert {"TrueLayer", "UKOpenBanking", "MastercardOpenFinanceEurope"} & set(blnk_auth.__all__) == set()


def test_no_other_code_knows_who_a_provider_is() -> None:
    """A new provider is one file: nothing outside `providers`, the sandbox and the front door names one."""
    names = ("blnk_cloud", "blink", "flinks", *PROFILES)
    # `_pickles` reads what earlier versions wrote, in which a provider had fewer fields.
    core = [path for path in PACKAGE.glob("*.py") if path.name not in ("__init__.py", "_pickles.py")]
    private = [path for folder in PACKAGE.glob("_*/") for path in folder.glob("*.py")]
    for path in [*core, *private]:
        constants = [
            node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)
        ]
        assert not [value for value in constants if value in names], path


def odd_client(bank: Bank, **settings: Any) -> OAuthClient:
    """A client of a provider that somebody described."""
    origin = bank.site.origin
    made = acme_at(origin, **settings)
    return OAuthClient(made, client_id="id", client_secret="s", redirect_uri="https://app.test/cb", clock=Clock())


@pytest.mark.parametrize("setting", ["token_headers", "token_parameters"])
@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, "None"),
        ({"X": 1}, ("'X'", "int")),
        ({7: "x"}, "int"),
        ({"X": "\ud800"}, "UTF-8"),
    ],
    ids=["None", "number", "name", "surrogate"],
)
def test_a_callable_that_gives_what_cannot_be_sent_is_named(
    setting: str, given: Any, shown: str | tuple[str, ...]
) -> None:
    """Before anything is sent: an HTTP client that failed over it could have spent the refresh token."""
    bank = Bank()
    with bank.site:
        source = odd_client(bank, **{setting: lambda _call: given}).for_subject("alice")
        source.adopt(Token("at0", refresh_token="rt0"))
        with raises(ConfigurationError, parameter=setting, shows=shown):
            source.renew()
        assert bank.site.received == []


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "é", "\x00"])
def test_a_callable_cannot_smuggle_a_header(value: str) -> None:
    """A line break in a value would begin another header."""
    bank = Bank()
    with bank.site:
        source = odd_client(bank, token_headers=lambda _call: {"X-App": value}).for_subject("alice")
        source.adopt(Token("at0", refresh_token="rt0"))
        with raises(ConfigurationError, parameter="token_headers"):
            source.renew()
        assert bank.site.received == []


@pytest.mark.parametrize("name", ["grant_type", "refresh_token"])
def test_further_parameters_never_replace_the_requests_own(name: str) -> None:
    """Another refresh token would be refused, and the user's grant be taken for ended."""
    bank = Bank()
    with bank.site:
        source = odd_client(bank, token_parameters={name: "x"}).for_subject("alice")
        source.adopt(Token("at0", refresh_token="rt0"))
        with raises(ConfigurationError, parameter="token_parameters"):
            source.renew()
        assert bank.site.received == []
        assert source.state != "sign_in_required"


@through_every_client
@pytest.mark.parametrize("given", [None, {"X": 1}, {"X": "a\r\nY: 1"}, {"AUTHORIZATION": "Bearer mine"}], ids=repr)
def test_api_headers_that_cannot_be_sent_are_the_clients_own_error(kind: Kind, given: Any) -> None:
    """Through each HTTP client: the request is not sent, and there is nothing in the token's place."""
    bank = Bank()
    with bank.site:
        source = odd_client(bank, api_headers=lambda _call: given).for_subject("alice")
        source.adopt(Token("at1", refresh_token="rt0", expires_at=NOW + 3600))
        with kind.open(source) as http, raises(ConfigurationError, parameter="api_headers") as caught:
            http.get(f"{bank.site.origin}/accounts")
        assert isinstance(caught.value, kind.request_error)
        assert bank.site.received == []


@pytest.mark.parametrize("name", ["state", "client_id", "redirect_uri", "response_type", "code_challenge", "scope"])
def test_a_sign_in_cannot_be_bent_by_further_parameters(name: str) -> None:
    """The request itself sets the parameters that protect it; every other name may be used."""
    provider = Provider(
        name="x",
        token_endpoint="https://as.test/token",
        authorization_endpoint="https://as.test/authorize?tenant=1",
        api_origins=("https://api.test",),
        authorization_parameters={"audience": "a&b", "uri": "u"},
    )
    client = OAuthClient(provider, client_id="id", client_secret="s", redirect_uri="https://app.test/cb")
    with raises(ConfigurationError, parameter="parameters"):
        client.start_authorization("alice", parameters={name: "x"})
    query = parse_qs(urlsplit(client.start_authorization("alice", parameters={"audience": "c"}).url).query)
    assert (query["tenant"], query["audience"], query["uri"]) == (["1"], ["c"], ["u"])


def refuse(_: Received) -> Reply:
    return Reply(400, b"<html>no</html>")


@pytest.mark.parametrize(
    ("judge", "shown"),
    [
        (lambda refusal: refusal.document["error"], "TypeError"),
        (lambda _: "signin", "'signin'"),
        (lambda _: True, "True"),
    ],
    ids=["raises", "misspelt", "boolean"],
)
def test_a_judge_that_fails_ends_no_grant(judge: Any, shown: str) -> None:
    """A provider's author makes a mistake: it is named with what the server answered."""
    with Site(refuse) as site:
        made = acme_at(site.origin, judge_refusal=judge)
        source = OAuthClient(made, client_id="id", client_secret="s").for_subject("alice")
        source.adopt(Token("at0", refresh_token="rt0"))
        with raises(ConfigurationError, parameter="judge_refusal", status_code=400, shows=("400", shown)):
            source.renew()
    assert source.state != "sign_in_required"


@through_every_client
def test_a_predicate_that_fails_is_the_clients_own_error(kind: Kind) -> None:
    """As everything that is raised through a shell."""
    bank = Bank()
    with bank.site:
        source = odd_client(bank, is_rejection=lambda answer: answer.body["code"]).for_subject("alice")
        source.adopt(Token("at0", refresh_token="rt0", expires_at=NOW + 3600))
        with kind.open(source) as http, raises(ConfigurationError, parameter="is_rejection") as caught:
            http.get(f"{bank.site.origin}/accounts")
        assert isinstance(caught.value, kind.request_error)


@pytest.mark.parametrize("name", ["X-Request-ID", "x-request-id"])
def test_a_correlation_header_may_be_written_in_any_case(name: str) -> None:
    """Header names have none."""
    with Site(lambda _: Reply(401, b"", {"X-Request-Id": "0000-1111"})) as site:
        made = acme_at(site.origin, correlation_header=name)
        with raises(ConfigurationError, correlation_id="0000-1111"):
            OAuthClient(made, client_id="id", client_secret="s").for_itself().token()


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda document, _now: document["data"], "raised KeyError"),
        (lambda _document, _now: None, "returned NoneType instead of a mapping"),
    ],
    ids=["raises", "None"],
)
def test_a_reader_that_fails_costs_no_pair(read: Any, said: str) -> None:
    """A provider's author makes a mistake: the answer is read as it is, and an event reports it."""
    events: list[Any] = []
    bank = Bank()
    with bank.site:
        origin = bank.site.origin
        made = acme_at(origin, read_answer=read)
        client = OAuthClient(made, client_id="id", client_secret="s", clock=Clock(), on_event=events.append)
        go_through(HTTPX, client, bank)
        assert client.for_subject("alice").token().refresh_token == "rt1"
    assert [event.detail for event in events if event.name == "odd_answer"] == [
        f"read_answer of the provider {said}; the answer was read as it is"
    ]


def test_an_answer_in_other_words_is_read() -> None:
    """Members renamed, lifetimes in milliseconds, as elsewhere in open finance."""

    def read(document: Any, _now: float) -> dict[str, Any]:
        return {
            "access_token": document["access"],
            "expires_in": document["access_ms"] / 1000,
            "refresh_token": document["refresh"],
        }

    def answer(_: Received) -> Reply:
        return Reply.json({"access": "at1", "access_ms": 3_600_000, "refresh": "rt1"})

    with Site(answer) as site:
        made = acme_at(site.origin, read_answer=read)
        source = OAuthClient(made, client_id="id", client_secret="s", clock=Clock()).for_subject("alice")
        source.adopt(Token("at0", refresh_token="rt0"))
        token = source.renew()
    assert (token.access_token, token.refresh_token, token.expires_at) == ("at1", "rt1", NOW + 3600)
