"""DPoP keys, proofs and nonces (RFC 9449), checked by joserfc and by the vectors of the RFCs."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import pickle
import random
import warnings
from typing import Any

import pytest
from joserfc import jwk, jwt
from joserfc.errors import SecurityWarning
from joserfc.jws import JWSRegistry
from support.errors import raises

from blnk_auth import BlnkAuthError, ConfigurationError, Signer, TemporarilyUnavailable
from blnk_auth._protocol.dpop import ServerNonces, asks_for_nonce, proof, refusal_of_proof, target_uri
from blnk_auth._protocol.dpop_key import DpopKey
from blnk_auth._protocol.signing import SigningAlgorithm

NOW = 1_790_000_000.0
TOKEN = "https://server.example.com/token"

# RFC 9449 sections 4.1 and 6.1.
OF_RFC_9449 = {
    "kty": "EC",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    "crv": "P-256",
}
# RFC 7638 section 3.1.
OF_RFC_7638 = {
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw"
    ),
    "e": "AQAB",
}
GENERATED: tuple[SigningAlgorithm, ...] = ("ES256", "EdDSA", "Ed25519", "ES384", "ES512", "PS256", "RS256")


def read(made: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a proof, after joserfc has verified its signature with the key in it."""
    header = json.loads(base64.urlsafe_b64decode(made.partition(".")[0] + "=="))
    registry = JWSRegistry(algorithms=[header["alg"]])
    # joserfc's limit of 512 bytes is too short for the public part of an RSA key.
    registry.max_header_length = 2048
    with warnings.catch_warnings():
        # RFC 9864 has replaced the name EdDSA, which servers still use.
        warnings.simplefilter("ignore", SecurityWarning)
        token = jwt.decode(made, jwk.import_key(header["jwk"]), registry=registry)
    return token.header, token.claims


def private(kind: Any, size: Any, **members: str) -> dict[str, Any]:
    made: Any = jwk.generate_key(kind, size, private=True)
    return {**made.as_dict(private=True), **members}


# --- vectors of the RFCs ---------------------------------------------------------------------------------------------


def of_public(jwk_of_vector: dict[str, str], algorithm: SigningAlgorithm) -> DpopKey:
    return DpopKey.of(Signer(lambda _message: b"", algorithm, public_jwk=jwk_of_vector))


def test_the_thumbprint_is_that_of_rfc_9449() -> None:
    """Section 6.1 shows the `jkt` of the key in section 4.1."""
    assert of_public(OF_RFC_9449, "ES256").thumbprint == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    """Members beyond the required ones do not change it (section 3.1)."""
    further = {**OF_RFC_7638, "alg": "RS256", "kid": "2011-04-29"}
    assert of_public(further, "RS256").thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_ath_is_that_of_rfc_9449() -> None:
    """Section 7.1 shows the hash of its access token."""
    made = proof(
        DpopKey.generate(),
        method="GET",
        url="https://resource.example.org/protectedresource",
        nonce=None,
        now=1562262618,
        access_token="Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
    )
    assert read(made)[1]["ath"] == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"


def test_a_proof_has_the_form_of_the_one_in_rfc_9449() -> None:
    """Header and claims of section 4.2: the same members, of the same types, as the example in figure 2."""
    header, claims = read(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscE"
        "JoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
        ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwi"
        "aWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
    )
    made = proof(DpopKey.generate(), method="POST", url=TOKEN, nonce=None, now=1562262616.9)
    own_header, own_claims = read(made)
    assert {**own_header, "jwk": None} == {**header, "jwk": None}
    assert own_header["jwk"].keys() == header["jwk"].keys()
    assert {**own_claims, "jti": ""} == {**claims, "jti": ""}


# --- proofs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", GENERATED)
def test_a_generated_key_signs_by_what_the_server_accepts(algorithm: SigningAlgorithm) -> None:
    """Joserfc verifies the proof, and the key is the same after it was stored."""
    key = DpopKey.generate(("XS256", algorithm))
    stored = key.to_private_jwk()
    assert stored is not None
    again = DpopKey.from_private_jwk(json.loads(json.dumps(stored)))
    assert again == key
    for each in (key, again):
        header, _ = read(proof(each, method="GET", url=TOKEN, nonce=None, now=NOW))
        assert header["alg"] == algorithm
        assert jwk.import_key(header["jwk"]).thumbprint() == key.thumbprint


def test_the_default_is_es256() -> None:
    """The metadata of a server that lists several has no effect if ES256 is among them."""
    assert DpopKey.generate().algorithm == DpopKey.generate(("RS256", "ES256")).algorithm == "ES256"


def test_each_proof_is_another() -> None:
    """A server refuses a `jti` that it has seen (RFC 9449 section 11.1)."""
    key = DpopKey.generate()
    made = {read(proof(key, method="GET", url=TOKEN, nonce=None, now=NOW))[1]["jti"] for _ in range(100)}
    assert len(made) == 100
    assert all(len(jti) == 24 for jti in made)


def test_a_proof_has_the_nonce_and_nothing_private() -> None:
    """The header has the public key only (RFC 9449 section 4.2: it "MUST NOT contain a private key")."""
    key = DpopKey.generate()
    header, claims = read(proof(key, method="PATCH", url=TOKEN, nonce="eyJ7S_zG", now=NOW))
    assert header["jwk"].keys() == {"kty", "crv", "x", "y"}
    assert claims["nonce"] == "eyJ7S_zG"
    assert claims["htm"] == "PATCH"
    assert "ath" not in claims


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("https://api.example.com/a/b?x=/y#z", "https://api.example.com/a/b"),
        ("HTTPS://API.Example.COM:443/a/B", "https://api.example.com/a/B"),
        ("http://127.0.0.1:80/", "http://127.0.0.1/"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
        ("https://api.example.com:80/", "https://api.example.com:80/"),
        ("https://api.example.com", "https://api.example.com/"),
        ("https://api.example.com?x=1", "https://api.example.com/"),
        ("https://api.example.com:/x", "https://api.example.com/x"),
        ("https://user:pass@api.example.com/x", "https://api.example.com/x"),
        ("https://[::1]:443/x", "https://[::1]/x"),
        ("https://[::1]/x", "https://[::1]/x"),
        ("https://api.example.com/%7euser/%c3%a9/%2F", "https://api.example.com/~user/%C3%A9/%2F"),
        ("https://api.example.com/a/./b/../c", "https://api.example.com/a/c"),
        ("https://api.example.com/a/b/..", "https://api.example.com/a/"),
        ("https://api.example.com/..", "https://api.example.com/"),
        ("https://api.example.com/a/.well-known/x", "https://api.example.com/a/.well-known/x"),
        ("https://api.example.com//a//b", "https://api.example.com//a//b"),
        ("wss://api.example.com/socket", "https://api.example.com/socket"),
    ],
)
def test_htu_is_normalized(url: str, uri: str) -> None:
    """RFC 9449 section 4.3 compares it after the normalization of RFC 3986 sections 6.2.2 and 6.2.3."""
    assert target_uri(url) == uri
    assert target_uri(uri) == uri


# --- keys of the application's own -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "size", "algorithm"),
    [
        ("EC", "P-256", "ES256"),
        ("EC", "P-384", "ES384"),
        ("EC", "P-521", "ES512"),
        ("OKP", "Ed25519", "EdDSA"),
        ("RSA", 2048, "RS256"),
    ],
)
def test_an_own_key_may_be_a_jwk_or_a_pem(kind: Any, size: Any, algorithm: str) -> None:
    """The algorithm follows from the key, and the record never has the key itself."""
    made: Any = jwk.generate_key(kind, size, private=True)
    pem = made.as_pem(private=True)
    for material in (made.as_dict(private=True), pem, pem.decode()):
        key = DpopKey.of(material)
        assert key.algorithm == algorithm
        assert key.thumbprint == made.thumbprint()
        assert key.is_own
        assert key.to_private_jwk() is None
        read(proof(key, method="GET", url=TOKEN, nonce=None, now=NOW))


def test_an_own_rsa_key_signs_by_what_the_server_accepts() -> None:
    """As an assertion does: RS256 unless the server lists algorithms without it."""
    material = private("RSA", 2048)
    assert DpopKey.of(material, ("ES256", "PS256")).algorithm == "PS256"
    assert DpopKey.of({**material, "alg": "PS384"}).algorithm == "PS384"


def test_a_signer_signs_proofs() -> None:
    """Its key never leaves it: the proof gets the public part from `public_jwk`."""
    made: Any = jwk.generate_key("OKP", "Ed25519", private=True)
    signer = Signer(made.private_key.sign, "EdDSA", key_id="kid-1", public_jwk=made.as_dict(private=False))
    header, _ = read(proof(DpopKey.of(signer), method="GET", url=TOKEN, nonce=None, now=NOW))
    assert header["jwk"] == made.as_dict(private=False) | {"kty": "OKP"}
    assert "kid" not in header


def test_a_signer_whose_public_key_is_anothers_is_named_at_its_first_signature() -> None:
    """The server would refuse every proof. A `Signer` is not asked to sign when the client is made."""
    made: Any = jwk.generate_key("OKP", "Ed25519", private=True)
    other: Any = jwk.generate_key("OKP", "Ed25519", private=True)
    key = DpopKey.of(Signer(made.private_key.sign, "EdDSA", public_jwk=other.as_dict(private=False)))
    with raises(ConfigurationError, parameter="public_jwk"):
        proof(key, method="GET", url=TOKEN, nonce=None, now=NOW)


def test_a_signer_that_fails_is_temporarily_unavailable() -> None:
    """An HSM may be back later; the text of its error is not quoted."""

    def fails(_message: bytes) -> bytes:
        raise OSError("secret-of-the-hsm")

    key = DpopKey.of(Signer(fails, "ES256", public_jwk=OF_RFC_9449))
    with raises(TemporarilyUnavailable, parameter="dpop") as caught:
        proof(key, method="GET", url=TOKEN, nonce=None, now=NOW)
    assert "secret-of-the-hsm" not in str(caught.value)


EC = private("EC", "P-256")
RSA = private("RSA", 2048)
with warnings.catch_warnings(action="ignore"):
    SHORT = private("RSA", 1024)
PUBLIC = {name: value for name, value in EC.items() if name != "d"}
CANNOT_WORK: list[tuple[Any, str]] = [
    ({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}, "dpop"),
    (PUBLIC, "dpop"),
    ({**EC, "alg": "RS256"}, "dpop"),
    ({**EC, "alg": "ES384"}, "dpop"),
    ({**EC, "alg": "HS256"}, "dpop"),
    ({**EC, "alg": "none"}, "dpop"),
    ({**EC, "use": "enc"}, "dpop"),
    ({**RSA, "alg": "ES256"}, "dpop"),
    (SHORT, "dpop"),
    (Signer(lambda _message: b"", "PS256", public_jwk={name: SHORT[name] for name in ("kty", "n", "e")}), "dpop"),
    ({**EC, "x": "AAAA"}, "dpop"),
    ({"kty": "EC"}, "dpop"),
    (private("OKP", "X25519"), "dpop"),
    ("not a key", "dpop"),
    (b"", "dpop"),
    (1, "dpop"),
    (False, "dpop"),
    (Signer(lambda _message: b"", "ES256"), "public_jwk"),
    (Signer(lambda _message: b"", "ES256", public_jwk=EC), "public_jwk"),
    (Signer(lambda _message: b"", "ES256", public_jwk={"kty": "oct", "k": "c2VjcmV0"}), "public_jwk"),
    (Signer(lambda _message: b"", "ES256", public_jwk={"kty": "EC", "crv": "P-256"}), "public_jwk"),
    (Signer(lambda _message: b"", "RS256", public_jwk=PUBLIC), "dpop"),
    (Signer(lambda _message: b"", "HS256", public_jwk=PUBLIC), "dpop"),
]


@pytest.mark.filterwarnings("ignore:Key size")  # joserfc's, of the short key
@pytest.mark.parametrize(("material", "parameter"), CANNOT_WORK, ids=range(len(CANNOT_WORK)))
def test_a_key_that_cannot_work_is_refused_when_the_client_is_made(material: Any, parameter: str) -> None:
    """By its name, and without anything of the key."""
    with raises(ConfigurationError, parameter=parameter) as caught:
        DpopKey.of(material)
    assert EC["d"] not in str(caught.value)


def test_the_algorithm_that_does_not_fit_is_named() -> None:
    """It is not secret, although the JWK that has it is one."""
    with raises(ConfigurationError, shows="'ES384'"):
        DpopKey.of({**EC, "alg": "ES384"})


def test_a_key_that_the_server_does_not_accept_is_refused() -> None:
    """The server's metadata lists its algorithms: nothing has to be sent to find out."""
    with raises(ConfigurationError, parameter="dpop"):
        DpopKey.of(EC, ("PS256", "EdDSA"))
    with raises(ConfigurationError, parameter="dpop"):
        DpopKey.generate(("XS256",))


def test_a_stored_key_that_is_broken_is_a_value_error() -> None:
    """The reader of the record makes a `StoreError` of it."""
    for broken in ({}, {"kty": "EC"}, {**EC}, {**EC, "alg": 1}, {**PUBLIC, "alg": "ES256"}, {"kty": []}):
        with pytest.raises(ValueError, match="DPoP"):
            DpopKey.from_private_jwk(broken)


def test_no_repr_and_no_pickle_has_the_key() -> None:
    """A key may be a local variable where an error is raised."""
    key = DpopKey.generate()
    jwk_of_key = key.to_private_jwk()
    assert jwk_of_key is not None
    shown = repr(key) + str(key) + "".join(repr(getattr(key, name)) for name in DpopKey.__slots__)
    assert jwk_of_key["d"] not in shown
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(key)
    assert copy.deepcopy(key) is copy.copy(key) is key


def test_a_pickled_signer_keeps_its_public_key() -> None:
    """It is public, and the client of another process needs it."""
    signer = Signer(max, "ES256", public_jwk=OF_RFC_9449)  # type: ignore[arg-type]  # any function that can be pickled
    assert pickle.loads(pickle.dumps(signer)) == signer
    assert hash(signer) == hash(copy.copy(signer))
    assert DpopKey.of(pickle.loads(pickle.dumps(signer))).thumbprint == of_public(OF_RFC_9449, "ES256").thumbprint


# --- nonces and clocks -----------------------------------------------------------------------------------------------


def test_the_newest_nonce_of_each_origin_is_kept() -> None:
    """RFC 9449 section 8.2: a new one may come with any response; it is for that server only."""
    nonces = ServerNonces()
    nonces.observe(TOKEN, {"dpop-nonce": "a"}, NOW)
    nonces.observe("https://api.example.com/x", {"dpop-nonce": "b"}, NOW)
    nonces.observe("https://SERVER.example.com:443/other?x", {}, NOW)
    assert nonces.nonce(TOKEN) == "a"
    assert nonces.nonce("https://api.example.com/y?z") == "b"
    assert nonces.nonce("https://api.example.com:8443/y") is None
    nonces.observe("https://server.example.com/par", {"dpop-nonce": "c"}, NOW)
    assert nonces.nonce(TOKEN) == "c"


@pytest.mark.parametrize("nonce", ["", "a b", "a, b", 'a"b', "a\\b", "é", "a\n", "x" * 2049])
def test_a_nonce_that_no_claim_carries_is_ignored(nonce: str) -> None:
    """RFC 9449 section 8.1 lists its characters; the one before it stays."""
    nonces = ServerNonces()
    nonces.observe(TOKEN, {"dpop-nonce": "good"}, NOW)
    assert not nonces.observe(TOKEN, {"dpop-nonce": nonce}, NOW, refusal="use_dpop_nonce")
    assert nonces.nonce(TOKEN) == "good"


def test_what_is_remembered_is_bounded() -> None:
    """A client with the API origin "*" may see any number of servers."""
    nonces = ServerNonces()
    for number in range(2000):
        nonces.observe(f"https://api{number}.example.com/", {"dpop-nonce": f"n{number}"}, NOW)
    known = [number for number in range(2000) if nonces.nonce(f"https://api{number}.example.com/")]
    assert len(known) <= 256
    assert known[-1] == 1999


@pytest.mark.parametrize(
    ("headers", "offset"),
    [
        ({"date": "Mon, 21 Sep 2026 14:13:20 GMT"}, 0.0),
        ({"date": "Mon, 21 Sep 2026 14:13:22 GMT"}, 0.0),
        ({"date": "Mon, 21 Sep 2026 15:13:20 GMT"}, 3600.0),
        ({"date": "Mon, 21 Sep 2026 14:12:20 GMT"}, -60.0),
        ({"date": "Mon, 21 Sep 2026 13:13:20 GMT", "age": "3600"}, 0.0),
        ({"date": "yesterday"}, 0.0),
        ({"date": ""}, 0.0),
        ({}, 0.0),
    ],
)
def test_iat_is_by_the_clock_of_the_server(headers: dict[str, str], offset: float) -> None:
    """Its `Date` shows that clock, except in a response from a cache; a second or two are rounding and latency."""
    nonces, key = ServerNonces(), DpopKey.generate()
    nonces.observe(TOKEN, headers, NOW)
    assert nonces.now(TOKEN, NOW + 5) == NOW + 5 + offset
    made = nonces.proof(key, method="POST", url=TOKEN, now=NOW + 5)
    assert read(made)[1]["iat"] == NOW + 5 + offset
    assert nonces.now("https://api.example.com/", NOW) == NOW


def test_the_clock_of_a_server_stays_known() -> None:
    """A response without `Date` changes nothing, and one that is right again ends the correction."""
    nonces = ServerNonces()
    nonces.observe(TOKEN, {"date": "Mon, 21 Sep 2026 15:13:20 GMT"}, NOW)
    nonces.observe(TOKEN, {"dpop-nonce": "a"}, NOW)
    assert nonces.now(TOKEN, NOW) == NOW + 3600
    nonces.observe(TOKEN, {"date": "Mon, 21 Sep 2026 14:13:20 GMT"}, NOW)
    assert nonces.now(TOKEN, NOW) == NOW


def test_another_proof_is_sent_only_if_it_may_be_accepted() -> None:
    """With the nonce that the server wants, also if another thread has stored it already; or with the right time."""
    nonces, wrong = ServerNonces(), {"date": "Mon, 21 Sep 2026 15:13:20 GMT"}
    assert not nonces.observe(TOKEN, {"dpop-nonce": "a"}, NOW)
    assert nonces.observe(TOKEN, {"dpop-nonce": "a"}, NOW, refusal="use_dpop_nonce")
    assert not nonces.observe(TOKEN, {}, NOW, refusal="use_dpop_nonce")
    assert not nonces.observe(TOKEN, {"dpop-nonce": "b"}, NOW, refusal="invalid_dpop_proof")
    assert nonces.observe(TOKEN, wrong, NOW, refusal="invalid_dpop_proof")
    assert not nonces.observe(TOKEN, wrong, NOW, refusal="invalid_dpop_proof")


@pytest.mark.parametrize(
    ("status", "challenge", "refusal"),
    [
        (401, 'DPoP error="use_dpop_nonce", error_description="nonce needed"', "use_dpop_nonce"),
        (401, 'Bearer realm="x", dpop algs="ES256", error="use_dpop_nonce"', "use_dpop_nonce"),
        (401, 'DPoP error="invalid_dpop_proof"', "invalid_dpop_proof"),
        (401, 'DPoP error="invalid_token", algs="ES256"', None),
        (401, 'Bearer error="use_dpop_nonce"', None),
        (400, 'DPoP error="use_dpop_nonce"', None),
        (200, 'DPoP error="use_dpop_nonce"', None),
        (401, "", None),
    ],
)
def test_a_refused_proof_differs_from_a_refused_token(status: int, challenge: str, refusal: str | None) -> None:
    """RFC 9449 sections 7.1 and 9: a 401 with a challenge of the scheme DPoP."""
    headers = {"www-authenticate": challenge} if challenge else {}
    assert refusal_of_proof(status, headers) == refusal
    assert asks_for_nonce(status, headers) == (refusal == "use_dpop_nonce")


def test_nothing_that_a_server_sends_raises() -> None:
    """Nonce, date and challenge are taken from any bytes."""
    chance, nonces = random.Random(9449), ServerNonces()
    pieces = [
        "DPoP ",
        "error=",
        '"',
        "use_dpop_nonce",
        ",",
        " ",
        "\\",
        "é",
        "Mon, 21 Sep ",
        "9" * 20,
        ":",
        "\x00",
        "GMT",
    ]
    for _ in range(3000):
        made = ["".join(chance.choices(pieces, k=chance.randrange(8))) for _ in range(3)]
        headers = dict(zip(("dpop-nonce", "date", "www-authenticate"), made, strict=True))
        try:
            nonces.observe(TOKEN, headers, NOW, refusal=refusal_of_proof(401, headers))
            read(nonces.proof(KEY, method="GET", url=TOKEN, now=0.0)) if chance.random() < 0.01 else None
        except BlnkAuthError as error:
            pytest.fail(str(error))


KEY = DpopKey.generate()


def test_the_hash_of_the_token_is_of_its_ascii_bytes() -> None:
    """RFC 9449 section 4.2: "the result of a base64url encoding of the SHA-256 hash of the ASCII encoding"."""
    made = proof(KEY, method="GET", url=TOKEN, nonce=None, now=NOW, access_token="abc")
    expected = base64.urlsafe_b64encode(hashlib.sha256(b"abc").digest()).rstrip(b"=").decode()
    assert read(made)[1]["ath"] == expected
