"""Each way for a client to prove itself, against a loopback server that verifies the proof as a real one would."""

from __future__ import annotations

import base64
import hmac
import json
import pickle
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey, import_key
from support.acme_server import Acme
from support.canary.leaks import everything_in, leaks
from support.certificates import Certificates
from support.clients import HTTPX, Kind, through
from support.errors import raises
from support.providers import acme_at
from support.sites import Received, Reply, Site

from blnk_auth import ConfigurationError, OAuthClient, Signer, TemporarilyUnavailable
from blnk_auth._protocol.client_authentication import choose_method

CLIENT_ID = "client-1"
SECRET = "a-client-secret-of-more-than-thirty-two-bytes"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
NOW = 1_800_000_000.0
ISSUER = "https://as.acme.test"


def pem(key: Any, password: bytes | None = None) -> str:
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden).decode()


RSA = rsa.generate_private_key(65537, 2048)
EC_256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


@pytest.fixture
def acme() -> Iterator[Acme]:
    with Acme() as server:
        yield server


def ask(acme: Acme, times: int = 1, settings: dict[str, Any] | None = None, **client: Any) -> list[Received]:
    """The token requests of a client that asks for its own token so many times."""
    made = OAuthClient(acme.provider(**(settings or {})), client_id=CLIENT_ID, clock=lambda: NOW, **client)
    source = made.for_itself(scope="read")
    for _ in range(times):
        source.renew()
    return acme.token_requests


def verified(request: Received, key: Any, algorithm: str) -> jwt.Token:
    """The assertion in a request, once a server has verified it."""
    form = request.form
    assert form["client_assertion_type"] == JWT_BEARER
    assert request.authorization is None
    assert "client_secret" not in form
    return jwt.decode(form["client_assertion"], key, algorithms=[algorithm])


# --- one method, and no other ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "in_header", "members"),
    [
        ({"client_secret": SECRET, "client_auth": "client_secret_basic"}, True, set()),
        ({"client_secret": SECRET, "client_auth": "client_secret_post"}, False, {"client_id", "client_secret"}),
        (
            {"client_secret": SECRET, "client_auth": "client_secret_jwt"},
            False,
            {"client_id", "client_assertion", "client_assertion_type"},
        ),
        (
            {"private_key": pem(RSA), "client_auth": "private_key_jwt", "client_secret": SECRET},
            False,
            {"client_id", "client_assertion", "client_assertion_type"},
        ),
        ({"client_auth": "none", "client_secret": SECRET}, False, {"client_id"}),
    ],
    ids=lambda value: value.get("client_auth") if isinstance(value, dict) else "",
)
def test_exactly_one_method_is_used(acme: Acme, settings: dict[str, Any], in_header: bool, members: set[str]) -> None:
    """RFC 6749 section 2.3 forbids two, also where the client has the means for both."""
    (request,) = ask(acme, **settings)
    assert (request.authorization is not None) is in_header
    assert request.form.keys() - {"grant_type", "scope"} == members


@pytest.mark.parametrize("encoding", ["rfc6749", "raw"])
@pytest.mark.parametrize(
    ("client_id", "secret"),
    [("id", "s3cret"), ("i d+%", "p:a/s+s%2B"), ("kunde-ä", "gehéim-鍵-🔑"), ("https://app.test/client", "=&?")],
)
def test_basic_survives_every_character(acme: Acme, encoding: Any, client_id: str, secret: str) -> None:
    """Form-encoded as RFC 6749 section 2.3.1 requires, or raw as `curl -u` does; non-Latin text as UTF-8."""
    made = acme.provider(basic_encoding=encoding)
    if encoding == "raw" and ":" in client_id:
        with raises(ConfigurationError, parameter="client_id"):
            OAuthClient(made, client_id=client_id, client_secret=secret)
        return
    OAuthClient(made, client_id=client_id, client_secret=secret).for_itself().token()
    basic = acme.token_requests[0].basic
    assert basic is not None
    assert tuple(map(unquote_plus, basic) if encoding == "rfc6749" else basic) == (client_id, secret)


# --- assertions -----------------------------------------------------------------------------------------------------

ALGORITHMS = [
    ("RS256", RSA, None),
    ("RS384", RSA, "RS384"),
    ("RS512", RSA, "RS512"),
    ("PS256", RSA, "PS256"),
    ("PS384", RSA, "PS384"),
    ("PS512", RSA, "PS512"),
    ("ES256", EC_256, None),
    ("ES384", ec.generate_private_key(ec.SECP384R1()), None),
    ("ES512", ec.generate_private_key(ec.SECP521R1()), None),
    ("EdDSA", ED25519, None),
    ("EdDSA", ED25519, "EdDSA"),
    ("EdDSA", ed448.Ed448PrivateKey.generate(), None),
]


@pytest.mark.filterwarnings("ignore:.*EdDSA.*")
@pytest.mark.parametrize("form", ["PEM", "bytes", "JWK"])
@pytest.mark.parametrize(
    ("algorithm", "key", "named"), ALGORITHMS, ids=[f"{a}-{n}-{i}" for i, (a, _, n) in enumerate(ALGORITHMS)]
)
def test_private_key_jwt(acme: Acme, algorithm: str, key: Any, named: str | None, form: str) -> None:
    """RFC 7523 section 3: issuer and subject are the client, the audience is the token endpoint; the key fits."""
    public = import_key(pem(key), {"EC": "EC", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}[algorithm[:2]])
    material: Any = {"PEM": pem(key), "bytes": pem(key).encode(), "JWK": public.as_dict(private=True)}[form]
    (request,) = ask(acme, private_key=material, client_auth="private_key_jwt", signing_algorithm=named)
    token = verified(request, public, algorithm)
    assert token.claims["iss"] == token.claims["sub"] == CLIENT_ID
    assert token.claims["aud"] == f"{acme.origin}/token"
    assert token.claims["iat"] == NOW
    assert NOW < token.claims["exp"] <= NOW + 300
    assert token.header["alg"] == algorithm


@pytest.mark.filterwarnings("ignore:.*EdDSA.*")
@pytest.mark.parametrize(
    ("method", "means", "key", "algorithm"),
    [
        ("private_key_jwt", {"private_key": pem(EC_256)}, import_key(pem(EC_256), "EC"), "ES256"),
        ("private_key_jwt", {"private_key": pem(ED25519)}, import_key(pem(ED25519), "OKP"), "EdDSA"),
        ("client_secret_jwt", {"client_secret": SECRET}, OctKey.import_key(SECRET), "HS256"),
    ],
    ids=["ES256", "EdDSA", "HS256"],
)
def test_each_attempt_has_a_jti_and_an_iat_of_its_own(
    acme: Acme, method: str, means: dict[str, Any], key: Any, algorithm: str
) -> None:
    """Servers refuse a `jti` that they have seen (OpenID Connect Core section 9), and an `iat` that is old."""
    now = [NOW]
    made = OAuthClient(acme.provider(client_auth=method), client_id=CLIENT_ID, clock=lambda: now[0], **means)
    source = made.for_itself()
    for _ in range(5):
        source.renew()
        now[0] += 7
    tokens = [verified(request, key, algorithm) for request in acme.token_requests]
    assert len({token.claims["jti"] for token in tokens}) == 5
    assert [token.claims["iat"] for token in tokens] == [NOW + 7 * n for n in range(5)]
    assert all(len(token.claims["jti"]) >= 22 for token in tokens)


@pytest.mark.parametrize(
    ("audience", "expected"), [("token_endpoint", None), ("issuer", ISSUER)], ids=["token_endpoint", "issuer"]
)
@pytest.mark.parametrize("method", ["private_key_jwt", "client_secret_jwt"])
def test_the_audience_can_be_chosen(acme: Acme, audience: Any, expected: str | None, method: str) -> None:
    """Some servers accept only the token endpoint, some only the issuer."""
    means: dict[str, Any] = {"private_key": pem(EC_256)} if method == "private_key_jwt" else {"client_secret": SECRET}
    settings = {"assertion_audience": audience, "issuer": ISSUER}
    (request,) = ask(acme, settings=settings, client_auth=method, **means)
    key = ECKey.import_key(pem(EC_256)) if method == "private_key_jwt" else OctKey.import_key(SECRET)
    claims = verified(request, key, "ES256" if method == "private_key_jwt" else "HS256").claims
    assert claims["aud"] == (expected or f"{acme.origin}/token")


@pytest.mark.parametrize(
    ("given", "in_jwk", "expected"), [("k1", None, "k1"), (None, "k2", "k2"), ("k1", "k2", "k1"), (None, None, None)]
)
@pytest.mark.parametrize("key", [RSA, ED25519], ids=["RSA", "Ed25519"])
def test_the_kid_names_the_key(
    acme: Acme, key: Any, given: str | None, in_jwk: str | None, expected: str | None
) -> None:
    """As given, else the JWK's own, else none."""
    kind: Any = RSAKey if key is RSA else OKPKey
    jwk = {**kind.import_key(pem(key)).as_dict(private=True)}
    jwk.pop("kid", None)
    if in_jwk:
        jwk["kid"] = in_jwk
    (request,) = ask(acme, private_key=jwk, key_id=given, client_auth="private_key_jwt")
    header = json.loads(base64.urlsafe_b64decode(request.form["client_assertion"].split(".")[0] + "=="))
    assert header.get("kid") == expected


def test_a_callable_is_asked_for_todays_key(acme: Acme) -> None:
    """Rotating the key needs no restart."""
    keys = [EC_256, ec.generate_private_key(ec.SECP256R1())]
    todays = iter(keys)
    requests = ask(acme, 2, private_key=lambda: pem(next(todays)), client_auth="private_key_jwt")
    for request, key in zip(requests, keys, strict=True):
        verified(request, ECKey.import_key(pem(key)), "ES256")


def test_an_assertion_that_was_signed_elsewhere_is_fetched_for_each_request(acme: Acme) -> None:
    """RFC 7521 section 4.2: a platform signs it, such as Kubernetes or GitHub. `client_id` names the registration."""
    todays = iter(["eyJ.one.sig", "eyJ.two.sig"])
    requests = ask(acme, 2, client_assertion=lambda: next(todays))
    assert [request.form["client_assertion"] for request in requests] == ["eyJ.one.sig", "eyJ.two.sig"]
    for request in requests:
        assert request.authorization is None
        assert (request.form["client_assertion_type"], request.form["client_id"]) == (JWT_BEARER, CLIENT_ID)


def fetch_assertion() -> str:
    """An assertion by a function that has a name, as a pickle needs it."""
    return "eyJ.named.sig"


def test_a_client_with_an_assertion_from_elsewhere_is_pickled_by_the_name_of_its_callable(acme: Acme) -> None:
    """The assertion itself is in no pickle."""
    client = OAuthClient(acme.provider(), client_id=CLIENT_ID, client_assertion=fetch_assertion)
    pickled = pickle.dumps(client)
    assert b"eyJ" not in pickled
    pickle.loads(pickled).for_itself().token()
    assert acme.token_requests[-1].form["client_assertion"] == "eyJ.named.sig"


def test_a_callable_is_asked_for_todays_secret(acme: Acme) -> None:
    """For each method that uses one."""
    todays = iter(["s1", "s2"])
    requests = ask(acme, 2, client_secret=lambda: next(todays))
    assert [request.basic for request in requests] == [(CLIENT_ID, "s1"), (CLIENT_ID, "s2")]


def test_a_signer_never_shows_its_key(acme: Acme) -> None:
    """A key in an HSM: it gets bytes and returns a signature in the form that JWS wants."""
    asked: list[bytes] = []

    def sign(message: bytes) -> bytes:
        asked.append(message)
        return RSA.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())

    signer = Signer(sign, "PS256", key_id="hsm-1")
    (request,) = ask(acme, private_key=signer, client_auth="private_key_jwt")
    token = verified(request, RSAKey.import_key(pem(RSA)), "PS256")
    assert (token.header["kid"], token.claims["sub"], len(asked)) == ("hsm-1", CLIENT_ID, 1)


@pytest.mark.parametrize(
    ("returned", "algorithm", "shown"),
    [
        (EC_256.sign(b"", ec.ECDSA(hashes.SHA256())), "ES256", ("ES256", "64", "DER")),
        (bytes(64), "ES384", ("64 bytes", "ES384", "96")),
        (None, "PS256", "None"),
        ("c2ln", "PS256", "str"),
        (b"", "EdDSA", "bytes"),
    ],
    ids=["DER", "short", "None", "text", "empty"],
)
def test_a_signature_in_another_form_is_named(
    acme: Acme, returned: Any, algorithm: str, shown: str | tuple[str, ...]
) -> None:
    """A KMS delivers ECDSA signatures as DER: the server would only answer `invalid_client`; nothing is sent."""
    with raises(ConfigurationError, parameter="private_key", shows=shown):
        ask(acme, private_key=Signer(lambda _: returned, algorithm), client_auth="private_key_jwt")
    assert acme.token_requests == []


def test_a_callable_may_return_todays_signer(acme: Acme) -> None:
    """Keys in hardware are rotated too."""

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(EC_256.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    (request,) = ask(acme, private_key=lambda: Signer(sign, "ES256"), client_auth="private_key_jwt")
    verified(request, ECKey.import_key(pem(EC_256)), "ES256")


@pytest.mark.parametrize(
    ("accepted", "key", "named", "algorithm"),
    [
        ((), RSA, None, "RS256"),
        (("PS256", "ES256"), RSA, None, "PS256"),
        (("ES256", "PS512"), RSA, None, "PS512"),
        (("ES256", "PS256", "RS256"), RSA, None, "RS256"),
        (("ES256",), RSA, None, "RS256"),
        (("PS256",), RSA, "RS512", "RS512"),
        (("PS256", "ES256"), EC_256, None, "ES256"),
    ],
)
def test_the_algorithm_is_one_that_the_server_accepts(
    acme: Acme, accepted: tuple[str, ...], key: Any, named: str | None, algorithm: str
) -> None:
    """Banks of the FAPI kind refuse RS256; what the client names has precedence."""
    settings = {"assertion_algorithms": accepted}
    (request,) = ask(
        acme, settings=settings, private_key=pem(key), client_auth="private_key_jwt", signing_algorithm=named
    )
    verified(request, import_key(pem(key), "RSA" if key is RSA else "EC"), algorithm)


def test_a_secret_may_look_like_a_key(acme: Acme) -> None:
    """client_secret_jwt signs with the secret's own bytes, also if they look like an encoding."""
    secret = "-----BEGIN PUBLIC KEY----- and more than 32 bytes"
    (request,) = ask(acme, client_secret=secret, client_auth="client_secret_jwt")
    message, _, signature = request.form["client_assertion"].rpartition(".")
    assert base64.urlsafe_b64decode(signature + "==") == hmac.digest(secret.encode(), message.encode(), "sha256")


@pytest.mark.parametrize("algorithm", [None, "HS256", "HS384", "HS512"])
def test_client_secret_jwt(acme: Acme, algorithm: str | None) -> None:
    """An HMAC with the client secret."""
    secret = SECRET * 2
    (request,) = ask(acme, client_secret=secret, client_auth="client_secret_jwt", signing_algorithm=algorithm)
    token = verified(request, OctKey.import_key(secret), algorithm or "HS256")
    assert token.claims["sub"] == CLIENT_ID


def test_an_algorithm_that_needs_a_key_is_refused_for_a_secret(acme: Acme) -> None:
    """When the client is made."""
    with raises(ConfigurationError, parameter="signing_algorithm"):
        ask(acme, client_secret=SECRET, client_auth="client_secret_jwt", signing_algorithm="RS256")


# --- what cannot work -----------------------------------------------------------------------------------------------

PUBLIC = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("", "private_key"),
        (None, "private_key"),
        ("no key", "PEM"),
        ("/etc/keys/client.pem", "PEM"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "PEM"),
        (PUBLIC.decode(), "public key"),
        (pem(RSA, b"passw0rd"), "unencrypted"),
        ({}, "private_key"),
        ({"kty": "EC", "crv": "P-256"}, "PEM"),
        ({"kty": "XX"}, "PEM"),
        (RSAKey.import_key(pem(RSA)).as_dict(private=False), "public key"),
        ({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}, "shared secret"),
        (pem(x25519.X25519PrivateKey.generate()), "signing_algorithm"),
        (pem(ec.generate_private_key(ec.SECP192R1())), "private_key"),
        (7, "private_key"),
    ],
    # Stable from run to run, which generated keys are not.
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_a_key_is_named_immediately(acme: Acme, key: Any, shown: str) -> None:
    """When the client is made, and without a word of the key."""
    with raises(ConfigurationError, shows=shown) as caught:
        OAuthClient(acme.provider(), client_id=CLIENT_ID, private_key=key, client_auth="private_key_jwt")
    texts = [key] if isinstance(key, str) else [str(value) for value in key.values()] if isinstance(key, dict) else []
    parts = [part for text in texts for part in text.split("\n") if len(part) > 20]
    assert not parts or leaks(everything_in(caught.value), parts) == []


# Users have no filter that makes an error of joserfc's warning.
@pytest.mark.filterwarnings("ignore:JWS algorithm .none.")
@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        *((RSA, "ES256"), (EC_256, "RS256"), (EC_256, "ES384"), (RSA, "HS256"), (RSA, "XX")),
        *((RSA, "none"), (EC_256, "none"), (ED25519, "none")),
    ],
    ids=["ES256", "RS256", "ES384", "HS256", "XX", "none-RSA", "none-EC", "none-OKP"],
)
def test_an_algorithm_that_does_not_fit_is_named_immediately(acme: Acme, key: Any, algorithm: str) -> None:
    """Not at the first renewal, and not as something that may heal."""
    with raises(ConfigurationError, parameter="signing_algorithm", shows=repr(algorithm)):
        OAuthClient(
            acme.provider(),
            client_id=CLIENT_ID,
            private_key=pem(key),
            client_auth="private_key_jwt",
            signing_algorithm=algorithm,
        )


def test_no_signer_leaves_an_assertion_unsigned(acme: Acme) -> None:
    """With the algorithm `none` anybody could make the assertion, so none is sent."""
    unsigned = Signer(lambda _: b"anything", algorithm="none")
    with raises(ConfigurationError, parameter="signing_algorithm"):
        ask(acme, private_key=unsigned, client_auth="private_key_jwt")
    assert acme.token_requests == []


@pytest.mark.filterwarnings("ignore:.*EdDSA.*")
@pytest.mark.parametrize(
    ("algorithm", "key"),
    [("PS256", RSA), ("RS512", RSA), ("ES256", EC_256), ("Ed25519", ED25519), ("EdDSA", ED25519)],
    ids=["PS256", "RS512", "ES256", "Ed25519", "EdDSA"],
)
def test_a_jwk_names_its_own_algorithm(acme: Acme, algorithm: str, key: Any) -> None:
    """Banks issue keys as JWKs with `alg` (RFC 7517 section 4.4); `signing_algorithm` is not needed."""
    kind = {"P": "RSA", "R": "RSA", "E": "OKP"}[algorithm[0]] if algorithm != "ES256" else "EC"
    public = import_key(pem(key), kind)
    jwk = {**public.as_dict(private=True), "alg": algorithm}
    (request,) = ask(acme, private_key=jwk, client_auth="private_key_jwt")
    assert verified(request, public, algorithm).header["alg"] == algorithm


def test_a_refused_assertion_names_its_audience_among_the_causes(acme: Acme) -> None:
    """Servers that expect the issuer as the audience answer no more than `invalid_client`."""
    acme.answers.append(Reply.json({"error": "invalid_client"}, 401))
    with raises(ConfigurationError, error="invalid_client", shows="assertion_audience"):
        ask(acme, private_key=pem(EC_256), client_auth="private_key_jwt")


def test_a_signer_that_fails_for_now_is_reported_as_such(acme: Acme) -> None:
    """An HSM that is away comes back; the message of its driver may contain secrets and is left out."""

    def sign(_: bytes) -> bytes:
        raise OSError("pin 1234 refused")

    with raises(TemporarilyUnavailable, parameter="private_key") as caught:
        ask(acme, private_key=Signer(sign, "ES256"), client_auth="private_key_jwt")
    assert leaks(everything_in(caught.value), ["pin 1234"]) == []
    assert acme.token_requests == []


@pytest.mark.parametrize("returned", [None, "no key", 7, {}])
def test_a_callable_that_returns_no_key_is_named(acme: Acme, returned: Any) -> None:
    """At the request, since it may change."""
    with raises(ConfigurationError, parameter="private_key"):
        ask(acme, private_key=lambda: returned, client_auth="private_key_jwt")


def test_no_key_is_shown(acme: Acme) -> None:
    """Neither by the client nor by what it is made of, nor by an error of the server that quotes the assertion."""
    material = pem(EC_256)
    made = OAuthClient(acme.provider(), client_id=CLIENT_ID, private_key=material, client_auth="private_key_jwt")
    assert leaks([made, made._state.credentials, Signer(lambda _: b"", "ES256")], [material[40:80]]) == []

    def quoting(request: Received) -> Reply:
        return Reply.json(
            {"error": "invalid_client", "error_description": f"bad {request.form['client_assertion']}"}, 401
        )

    with Site(quoting) as site:
        elsewhere = acme_at(site.origin)
        client = OAuthClient(elsewhere, client_id=CLIENT_ID, private_key=material, client_auth="private_key_jwt")
        with raises(
            ConfigurationError, error="invalid_client", error_description="bad [redacted]", status_code=401
        ) as caught:
            client.for_itself().token()
        assertion = site.received[0].form["client_assertion"]
    assert leaks(everything_in(caught.value), [assertion, assertion.split(".")[2]]) == []


# --- certificates ---------------------------------------------------------------------------------------------------


class MutualTLS:
    """A token endpoint that takes nobody without a certificate of the authority."""

    def __init__(self, certificates: Certificates) -> None:
        self.certificates = certificates
        self.site = Site(self._answer, tls=certificates.server(client_certificate=ssl.CERT_REQUIRED))

    def _answer(self, request: Received) -> Reply:
        return Reply.json({"access_token": "at-mtls", "token_type": "Bearer", "expires_in": 3600})

    def client(self, **settings: Any) -> OAuthClient:
        usual = {"client_id": CLIENT_ID, "client_auth": "tls_client_auth", "verify": self.certificates.ca_file}
        made = acme_at(self.site.origin)
        return OAuthClient(made, **{**usual, **settings})


@pytest.fixture
def mutual_tls(certificates: Certificates) -> Iterator[MutualTLS]:
    server = MutualTLS(certificates)
    with server.site:
        yield server


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
@through(lambda kind: not kind.is_async)
def test_tls_client_auth(mutual_tls: MutualTLS, certificates: Certificates, kind: Kind, method: str) -> None:
    """RFC 8705: the certificate proves the client, and the body names it."""
    source = mutual_tls.client(cert=certificates.files(CLIENT_ID), client_auth=method).for_itself()
    with kind.open(source, verify=certificates.context(CLIENT_ID)) as http:
        assert http.get(mutual_tls.site.origin).token == "at-mtls"
    request = mutual_tls.site.received[0]
    assert request.form == {"grant_type": "client_credentials", "client_id": CLIENT_ID}
    assert request.authorization is None


def test_private_key_jwt_over_mutual_tls(mutual_tls: MutualTLS, certificates: Certificates) -> None:
    """As FAPI wants it: the certificate is for the connection, the assertion proves the client."""
    client = mutual_tls.client(
        cert=certificates.files(CLIENT_ID),
        private_key=pem(RSA),
        signing_algorithm="PS256",
        client_auth="private_key_jwt",
    )
    assert client.for_itself().token().access_token == "at-mtls"
    verified(mutual_tls.site.received[0], RSAKey.import_key(pem(RSA)), "PS256")


def test_without_a_certificate_the_connection_fails(mutual_tls: MutualTLS) -> None:
    """The server hangs up, which from here looks like any other broken connection."""
    with pytest.raises(TemporarilyUnavailable):
        mutual_tls.client(client_auth="none").for_itself().token()


def test_a_key_with_a_password(mutual_tls: MutualTLS, certificates: Certificates, tmp_path: Path) -> None:
    """Given as the third of the tuple; a wrong one is named and never shown."""
    cert, key = certificates.files(CLIENT_ID)
    loaded = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_text(pem(loaded, b"r1ght-passw0rd"))
    client = mutual_tls.client(cert=(cert, str(locked), "r1ght-passw0rd"))
    assert client.for_itself().token().access_token == "at-mtls"
    with raises(ConfigurationError, parameter="cert") as caught:
        mutual_tls.client(cert=(cert, str(locked), "wr0ng-passw0rd"))
    assert leaks(everything_in(caught.value), ["wr0ng-passw0rd"]) == []


@pytest.mark.parametrize(
    ("which", "shown"),
    [
        ("missing", "No such file"),
        ("missing key", "No such file"),
        ("a PEM's content", ()),
        ("no PEM", "PEM"),
        ("no key", "PEM"),
        ("another's key", ()),
        ("nothing", "IndexError"),
    ],
)
def test_a_certificate_that_cannot_be_loaded_is_named(
    mutual_tls: MutualTLS, certificates: Certificates, tmp_path: Path, which: str, shown: str | tuple[str, ...]
) -> None:
    """Immediately, and the error names the file; the content of a key that was given as a path is not quoted."""
    cert, _ = certificates.files(CLIENT_ID)
    odd = tmp_path / "odd.pem"
    odd.write_text("no certificate")
    given: Any = {
        "missing": str(tmp_path / "gone.pem"),
        "missing key": (cert, str(tmp_path / "gone.key")),
        "a PEM's content": pem(EC_256),
        "nothing": (),
        "no PEM": str(odd),
        "no key": cert,
        "another's key": (cert, certificates.files("somebody-else")[1]),
    }[which]
    with raises(ConfigurationError, parameter="cert", shows=shown) as caught:
        mutual_tls.client(cert=given)
    assert "PRIVATE KEY" not in str(caught.value)


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
def test_a_missing_certificate_is_named_immediately(acme: Acme, method: str) -> None:
    """The method demands one."""
    with raises(ConfigurationError, parameter="cert"):
        OAuthClient(acme.provider(), client_id=CLIENT_ID, client_auth=method)


# --- choosing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("supported", "means", "chosen"),
    [
        ("client_secret_basic client_secret_post", "secret", "client_secret_basic"),
        ("client_secret_post", "secret", "client_secret_post"),
        ("client_secret_jwt client_secret_post", "secret", "client_secret_post"),
        ("client_secret_jwt", "secret", "client_secret_jwt"),
        ("client_secret_basic private_key_jwt tls_client_auth", "secret key certificate", "private_key_jwt"),
        ("client_secret_basic tls_client_auth", "secret certificate", "tls_client_auth"),
        ("client_secret_basic", "key", None),
        ("client_secret_basic none", "", "none"),
        ("none", "secret", None),
        ("private_key_jwt", "", None),
        ("", "secret", None),
        ("something_new", "secret key certificate", None),
    ],
)
def test_the_best_that_both_sides_can(supported: str, means: str, chosen: str | None) -> None:
    """Asymmetric before symmetric, what a secret is registered for first, and never nothing where there is a secret."""
    has = {f"has_{each}": each in means.split() for each in ("key", "certificate", "secret")}
    assert choose_method(tuple(supported.split()), **has) == chosen


def test_fifty_threads_share_one_key(acme: Acme) -> None:
    """Signing is safe for any thread: no two assertions are the same."""
    made = OAuthClient(
        acme.provider(client_auth="private_key_jwt"), client_id=CLIENT_ID, private_key=pem(EC_256), clock=lambda: NOW
    )
    with ThreadPoolExecutor(10) as threads:
        tokens = list(threads.map(lambda n: made.for_itself(scope=str(n)).token().access_token, range(50)))
    assert len(set(tokens)) == 50
    assert len({request.form["client_assertion"] for request in acme.token_requests}) == 50


def test_through_httpx_too(acme: Acme) -> None:
    """The method is that of the client, with any HTTP client that sends the request."""
    made = OAuthClient(acme.provider(client_auth="private_key_jwt"), client_id=CLIENT_ID, private_key=pem(ED25519))
    with HTTPX.open(made.for_itself()) as http:
        assert http.get(acme.origin).status == 200


@pytest.mark.parametrize("form", ["PEM", "bytes", "JWK"])
def test_a_pickle_carries_no_key(acme: Acme, form: str) -> None:
    """As with a secret given as text: the error in the other process recommends a callable."""
    material: Any = {
        "PEM": pem(EC_256),
        "bytes": pem(EC_256).encode(),
        "JWK": ECKey.import_key(pem(EC_256)).as_dict(private=True),
    }[form]
    made = OAuthClient(acme.provider(client_auth="private_key_jwt"), client_id=CLIENT_ID, private_key=material)
    secret = material["d"].encode() if form == "JWK" else pem(EC_256).splitlines()[1].encode()
    pickled = pickle.dumps(made.for_itself())
    assert secret not in pickled
    with raises(ConfigurationError, parameter="private_key"):
        pickle.loads(pickled).token()
