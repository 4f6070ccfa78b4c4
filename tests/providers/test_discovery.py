"""`Provider.discover`: a document is believed only if it speaks for the issuer that was asked for."""

from __future__ import annotations

import json
import pickle
import re
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.certificates import Certificates
from support.errors import raises
from support.sites import Received, Reply, Site, endless

from blnk_auth import ConfigurationError, OAuthClient, ProtocolError, Provider, TemporarilyUnavailable
from blnk_auth._protocol.discovery import LIFETIME, Documents, settings_in
from blnk_auth.testing import Sandbox

ISSUER = "https://as.acme.test"
METADATA: dict[str, Any] = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "authorization_endpoint": f"{ISSUER}/authorize",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", "urn:odd"],
    "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
    "code_challenge_methods_supported": ["S256"],
}


class Described:
    """A server that describes itself by `members` at the paths given, and by `others` elsewhere."""

    def __init__(self, path: str = "", *, at: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.members: dict[str, Any] = {}
        self.others = Reply(404)
        self.instead: Reply | None = None
        self._path = path
        self._at = at or f"/.well-known/oauth-authorization-server{path}"
        self.site = Site(self._answer, tls=tls)

    @property
    def issuer(self) -> str:
        return self.site.origin + self._path

    def _answer(self, request: Received) -> Reply:
        if request.path != self._at:
            return self.others
        if self.instead is not None:
            return self.instead
        moved = json.loads(json.dumps(METADATA).replace(ISSUER, self.issuer))
        members = {**moved, **self.members}
        return Reply.json({name: value for name, value in members.items() if value is not None})


@pytest.fixture
def server() -> Iterator[Described]:
    described = Described()
    with described.site:
        yield described


# --- where it is ----------------------------------------------------------------------------------------------------


def test_the_metadata_becomes_a_provider(server: Described) -> None:
    """Endpoints, grants, methods, PKCE; only the issuer's own origin gets tokens."""
    made = Provider.discover(server.issuer)
    assert made.issuer == server.issuer
    assert made.token_endpoint == f"{server.issuer}/token"
    assert made.authorization_endpoint == f"{server.issuer}/authorize"
    assert made.revocation_endpoint == f"{server.issuer}/revoke"
    assert made.grants == ("authorization_code", "refresh_token", "client_credentials")
    assert made.client_auth_supported == ("client_secret_post", "private_key_jwt")
    assert repr(made.origins) == f"<AllowedOrigins {server.site.origin}>"
    assert made.pkce


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("/tenant", "/.well-known/oauth-authorization-server/tenant"),
        ("/tenant", "/tenant/.well-known/openid-configuration"),
        ("/", "/.well-known/oauth-authorization-server"),
        ("/tenant/", "/tenant/.well-known/openid-configuration"),
        ("", "/.well-known/openid-configuration"),
    ],
)
def test_both_places_are_looked_at(path: str, at: str) -> None:
    """RFC 8414 puts the path behind the well-known part, OpenID Connect Discovery before it."""
    described = Described(path, at=at)
    with described.site:
        assert Provider.discover(described.issuer).token_endpoint == f"{described.issuer}/token"


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_a_server_may_know_only_the_other_place(status: int) -> None:
    """For any answer to the first."""
    described = Described(at="/.well-known/openid-configuration")
    described.others = Reply(status, b'{"error":"Authorization header is required"}', {"Location": "/login"})
    with described.site:
        assert Provider.discover(described.issuer).issuer == described.issuer


def test_a_redirect_is_not_followed(server: Described) -> None:
    """It could lead to another server that calls itself by this name."""
    with Site(lambda _: Reply.json({**METADATA, "issuer": server.issuer})) as elsewhere:
        server.instead = Reply.redirect(elsewhere.origin)
        with raises(ProtocolError, parameter="issuer", shows="302"):
            Provider.discover(server.issuer)
        assert elsewhere.received == []


# --- what is believed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["/", "/x", "?", ""])
def test_the_issuer_must_match_to_the_letter(server: Described, suffix: str) -> None:
    """RFC 8414 section 3.3; a slash at the end counts. Both are quoted."""
    server.members = {"issuer": server.issuer + suffix if suffix else "https://other.test"}
    shown = (repr(server.issuer), repr(server.members["issuer"]))
    with raises(ConfigurationError, parameter="issuer", shows=shown):
        Provider.discover(server.issuer)


@pytest.mark.parametrize(
    ("members", "member"),
    [
        ({"token_endpoint": None}, "token_endpoint"),
        ({"token_endpoint": 7}, "token_endpoint"),
        ({"token_endpoint": "http://as.acme.test/token"}, "token_endpoint"),
        ({"token_endpoint": "/token"}, "token_endpoint"),
        ({"authorization_endpoint": 7}, "authorization_endpoint"),
        ({"revocation_endpoint": "javascript:alert(1)"}, "revocation_endpoint"),
        ({"issuer": None}, "issuer"),
        ({"require_pushed_authorization_requests": True}, "pushed_authorization_request_endpoint"),
        ({"pushed_authorization_request_endpoint": "/par"}, "pushed_authorization_request_endpoint"),
    ],
)
def test_metadata_that_cannot_be_used_is_named(server: Described, members: dict[str, Any], member: str) -> None:
    """By the member that is missing or odd."""
    server.members = members
    with raises(ConfigurationError, shows=member):
        Provider.discover(server.issuer)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"\xff", b"[" * 50_000])
def test_what_is_not_a_document_is_ignored(server: Described, body: bytes) -> None:
    """A page, an array: the error names both places."""
    server.instead = Reply(200, body)
    with raises(ProtocolError, parameter="issuer", shows=("oauth-authorization-server", "openid-configuration")):
        Provider.discover(server.issuer)


def test_an_endless_document_is_cut_off(server: Described) -> None:
    """Size is capped as for a token answer."""
    server.instead = Reply(200, endless())
    with raises(ProtocolError, shows="max_answer_bytes"):
        Provider.discover(server.issuer)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_down_may_come_back(server: Described, status: int) -> None:
    """No reason to report that there is no description."""
    server.instead = Reply(status)
    with pytest.raises(TemporarilyUnavailable) as caught:
        Provider.discover(server.issuer)
    assert caught.value.parameter == "issuer"


def test_a_server_that_is_away_may_come_back() -> None:
    """Nothing listens."""
    with Site(lambda _: Reply(200)) as gone:
        issuer = gone.origin
    with pytest.raises(TemporarilyUnavailable) as caught:
        Provider.discover(issuer)
    assert caught.value.parameter == "issuer"


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        None,
        7,
        "as.acme.test",
        "http://as.acme.test",
        "https://as.acme.test/?a=b",
        "https://as.acme.test/#x",
        "https://u:s3cret@as.acme.test",
    ],
)
def test_a_bad_issuer_is_named(issuer: Any) -> None:
    """Before anything is asked."""
    with raises(ConfigurationError, parameter="issuer") as caught:
        Provider.discover(issuer)
    assert "s3cret" not in str(caught.value)


# --- what is made of it ---------------------------------------------------------------------------------------------


def built(settings: dict[str, Any] | None = None, **members: Any) -> Provider:
    document = {name: value for name, value in {**METADATA, **members}.items() if value is not None}
    return Provider(**{**settings_in(document), **(settings or {})})


@pytest.mark.parametrize("listed", [None, [], ["authorization_code"], ["implicit"], "authorization_code", [7, None]])
def test_no_grant_is_refused_because_it_is_not_listed(listed: Any) -> None:
    """The list is optional and often incomplete; the server itself knows what it supports. `grants` has precedence."""
    everything = ("authorization_code", "refresh_token", "client_credentials")
    made = built(grant_types_supported=listed)
    assert made.grants == everything
    assert OAuthClient(made, client_id="id", client_secret="s3cret").for_itself().subject is None
    narrowed = OAuthClient(built({"grants": everything[:2]}), client_id="id", client_secret="s3cret")
    with raises(ConfigurationError, parameter="for_itself"):
        narrowed.for_itself()


@pytest.mark.parametrize(
    ("listed", "pkce"), [(None, True), ([], True), (["S256"], True), (["plain", "S256"], True), (["plain"], False)]
)
def test_whether_a_challenge_is_sent(listed: Any, pkce: bool) -> None:
    """Unless the server lists other methods only."""
    assert built(code_challenge_methods_supported=listed).pkce is pkce


@pytest.mark.parametrize(("said", "sends_iss"), [(None, False), (False, False), (True, True), ("true", False)])
def test_whether_iss_is_promised(said: Any, sends_iss: bool) -> None:
    """RFC 9207 section 3: what a server promises in its metadata is demanded of its answers."""
    assert built(authorization_response_iss_parameter_supported=said).sends_iss is sends_iss


def test_an_answer_without_the_promised_iss_is_refused() -> None:
    """From the metadata to the redirect: the sandbox promises `iss`, and what comes without it is not its answer."""
    with Sandbox() as sandbox:
        client = OAuthClient(
            Provider.discover(sandbox.origin),
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            redirect_uri=sandbox.redirect_uri,
        )
        callback_url = sandbox.sign_in(client.start_authorization("alice").url)
        stripped = re.sub(r"&iss=[^&]*", "", callback_url)
        assert stripped != callback_url
        with raises(ProtocolError, parameter="callback_url"):
            client.finish_authorization(stripped)
        assert sandbox.counts.token_requests == 0
        assert client.finish_authorization(callback_url).state == "fresh"


def test_settings_take_the_place_of_what_is_described() -> None:
    """For what a server forgets to describe, or describes wrongly."""
    made = built({"name": "acme", "api_origins": ("https://api.acme.test",), "pkce": False, "token_body": "json"})
    assert (made.name, made.pkce, made.token_body) == ("acme", False, "json")
    assert repr(made.origins) == "<AllowedOrigins https://api.acme.test>"


def chosen(provider: Provider, **means: Any) -> str:
    method: str = OAuthClient(provider, client_id="id", **means)._state.credentials.method
    return method


@pytest.mark.parametrize(
    ("supported", "method"),
    [
        (["client_secret_post", "private_key_jwt"], "client_secret_post"),
        (["client_secret_post", "client_secret_basic"], "client_secret_basic"),
        (["client_secret_jwt", "client_secret_post", "client_secret_basic"], "client_secret_basic"),
        (["client_secret_jwt", "client_secret_post"], "client_secret_post"),
        (["client_secret_jwt"], "client_secret_jwt"),
        # As Keycloak lists them, whichever of them a client is registered for.
        (
            ["private_key_jwt", "client_secret_basic", "client_secret_post", "tls_client_auth", "client_secret_jwt"],
            "client_secret_basic",
        ),
        (None, "client_secret_basic"),
    ],
)
def test_the_best_method_that_both_sides_support_is_taken(supported: Any, method: str) -> None:
    """With a secret as the only means, as is an HTTP client of the user's own; absent means Basic (RFC 8414)."""
    made = built(token_endpoint_auth_methods_supported=supported)
    assert chosen(made, client_secret="s3cret") == method
    with httpx.Client() as http:
        assert chosen(made, client_secret="s3cret", token_http=http) == method


def test_an_http_client_of_the_users_own_may_hold_the_certificate() -> None:
    """Where nothing else was given, that is what it is for."""
    made = built(token_endpoint_auth_methods_supported=["tls_client_auth", "client_secret_basic"])
    with httpx.Client() as http:
        assert chosen(made, token_http=http) == "tls_client_auth"


@pytest.mark.parametrize("supported", [["private_key_jwt"], ["something_new"]])
def test_no_method_in_common_is_reported(supported: list[str]) -> None:
    """With what the server supports, also if we do not know it."""
    with raises(ConfigurationError, parameter="client_auth", shows=(supported[0], "private_key")):
        chosen(built(token_endpoint_auth_methods_supported=supported), client_secret="s3cret")


def test_a_method_that_is_named_needs_no_choosing() -> None:
    """Named by the client."""
    assert chosen(built(), client_secret="s3cret", client_auth="client_secret_basic") == "client_secret_basic"


def test_a_method_among_the_settings_needs_no_choosing(server: Described) -> None:
    """Although the server's metadata does not list it."""
    made = Provider.discover(server.issuer, client_auth="client_secret_basic")
    assert chosen(made, client_secret="s3cret") == "client_secret_basic"


def test_the_algorithms_of_assertions_are_taken_over() -> None:
    """The algorithms that a server lists decide how an RSA key signs."""
    assert built(token_endpoint_auth_signing_alg_values_supported=["PS256", 7]).assertion_algorithms == ("PS256",)
    assert built().assertion_algorithms == ()


def test_what_a_sign_in_may_ask_for_is_read() -> None:
    """RFC 9126 section 5, RFC 9396 section 10, RFC 9449 section 5.1, grant management section 7.1."""
    made = built(
        pushed_authorization_request_endpoint=f"{ISSUER}/par",
        require_pushed_authorization_requests=True,
        authorization_details_types_supported=["payment", 7],
        grant_management_actions_supported=["create", "merge", "query"],
        dpop_signing_alg_values_supported=["ES256"],
        mtls_endpoint_aliases={"pushed_authorization_request_endpoint": "https://mtls.acme.test/par"},
    )
    assert made.pushed_authorization_request_endpoint == f"{ISSUER}/par"
    assert made.requires_pushed_authorization_requests
    assert made.authorization_details_types == ("payment",)
    assert made.grant_management_actions == ("create", "merge", "query")
    assert made.dpop_algorithms == ("ES256",)
    assert made.with_certificate().pushed_authorization_request_endpoint == "https://mtls.acme.test/par"


@pytest.mark.parametrize("required", [None, False, "true", 1])
def test_sign_ins_are_pushed_only_where_the_metadata_clearly_requires_it(required: Any) -> None:
    """An endpoint alone is an offer. A caller may take it."""
    offered = {"pushed_authorization_request_endpoint": f"{ISSUER}/par"}
    assert not built(**offered, require_pushed_authorization_requests=required).requires_pushed_authorization_requests


def test_a_caller_asks_for_pushed_sign_ins(server: Described) -> None:
    """At a server that offers them and does not require them."""
    server.members = {"pushed_authorization_request_endpoint": f"{server.issuer}/par"}
    assert not Provider.discover(server.issuer).requires_pushed_authorization_requests
    assert Provider.discover(
        server.issuer, requires_pushed_authorization_requests=True
    ).requires_pushed_authorization_requests


def test_the_mtls_aliases_are_remembered() -> None:
    """RFC 8705 section 5: a client with a certificate uses them; the others, and the store keys, do not."""
    aliases = {"token_endpoint": "https://mtls.acme.test/token", "device_authorization_endpoint": ISSUER, "odd": 7}
    made = built(mtls_endpoint_aliases=aliases)
    assert made.token_endpoint == f"{ISSUER}/token"
    with_certificate = made.with_certificate()
    assert with_certificate.token_endpoint == "https://mtls.acme.test/token"
    assert with_certificate.revocation_endpoint == f"{ISSUER}/revoke"
    assert with_certificate.device_authorization_endpoint is None
    assert with_certificate.environment == made.environment == ISSUER
    assert built().with_certificate() == built()


@pytest.mark.parametrize("means", ["cert", "method", "neither"])
def test_a_client_with_a_certificate_uses_the_mtls_aliases(certificates: Certificates, means: str) -> None:
    """However the provider was discovered: at the plain endpoint the handshake asks for no certificate."""
    made = built(
        mtls_endpoint_aliases={"token_endpoint": "https://mtls.acme.test/token"},
        token_endpoint_auth_methods_supported=["tls_client_auth", "client_secret_basic"],
    )
    with httpx.Client() as http:
        settings: dict[str, Any] = {
            "cert": {"cert": certificates.files("id")},
            "method": {"client_auth": "tls_client_auth", "token_http": http},
            "neither": {"client_secret": "s3cret"},
        }[means]
        client = OAuthClient(made, client_id="id", **settings)
    mtls = means != "neither"
    assert client.provider.token_endpoint == ("https://mtls.acme.test/token" if mtls else f"{ISSUER}/token")
    plain = OAuthClient(made, client_id="id", client_secret="s3cret")
    assert client.for_subject("alice").store_key == plain.for_subject("alice").store_key
    again = pickle.loads(pickle.dumps(client.provider))
    assert (again.token_endpoint, again.environment) == (client.provider.token_endpoint, ISSUER)


def test_over_tls_with_the_users_own_authority(certificates: Certificates) -> None:
    """`verify` is that of `OAuthClient`."""
    described = Described(tls=certificates.server())
    with described.site:
        assert Provider.discover(described.issuer, verify=certificates.ca_file).issuer == described.issuer
        with raises(ConfigurationError, parameter="verify"):
            Provider.discover(described.site.origin + "/other")


# --- keeping --------------------------------------------------------------------------------------------------------


def test_a_document_is_asked_for_once_an_hour(server: Described) -> None:
    """Clients that are made in a hurry do not ask each time; settings differ all the same."""
    for name in ("a", "b", "c"):
        assert Provider.discover(server.issuer, name=name).name == name
    assert len(server.site.received) == 1


def test_a_failure_is_not_kept(server: Described) -> None:
    """The next try asks again."""
    server.instead = Reply(503)
    with pytest.raises(TemporarilyUnavailable):
        Provider.discover(server.issuer)
    server.instead = None
    assert Provider.discover(server.issuer).issuer == server.issuer


def test_documents_are_kept_for_their_lifetime_and_within_bounds() -> None:
    """An hour, and 64 of them; a clock put back makes none older than it is."""
    kept = Documents()
    kept.put("a", 1000.0, METADATA)
    assert kept.get("a", 1000.0 + LIFETIME - 1) == METADATA
    assert kept.get("a", 1000.0 + LIFETIME) is None
    assert kept.get("a", 999.0) is None
    for number in range(100):
        kept.put(str(number), 2000.0, METADATA)
    assert kept.get("a", 1000.0) is None
    assert kept.get("35", 2000.0) is None
    assert kept.get("36", 2000.0) == METADATA
