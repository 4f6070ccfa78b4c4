"""What is learned of a resource, from its documents and its challenge: as tables, without a network."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.documents import (
    ISSUER,
    NOW,
    OWN_DOCUMENT,
    RESOURCE,
    ROOT_DOCUMENT,
    SERVER_DOCUMENT,
    USUAL,
    Answer,
    ScriptedFetch,
    learned_from,
    resource_document,
    server_document,
)
from support.errors import raises
from support.sites import Reply

from blnk_auth import ConfigurationError, MemoryStore, ProtocolError, TemporarilyUnavailable
from blnk_auth._protocol.resource_metadata import ResourceChallenge
from blnk_auth._resource.learned import Learned
from blnk_auth._resource.learning import learn

CHALLENGED = ResourceChallenge(None, None)
HTML = Reply(200, b"<!doctype html><title>App</title>", {"Content-Type": "text/html"})


# Where the document is


def test_the_well_known_url_with_the_path_comes_first() -> None:
    """RFC 9728 section 3.1; that of the origin is not asked for then."""
    fetch = ScriptedFetch(USUAL)
    learned = learn(RESOURCE, fetch=fetch, store=MemoryStore(), now=NOW)
    assert learned is not None
    assert fetch.asked == [OWN_DOCUMENT, f"GET {RESOURCE}", SERVER_DOCUMENT]
    assert (learned.resource, learned.issuer, learned.document) == (RESOURCE, ISSUER, OWN_DOCUMENT)
    assert learned.provider().api_origins == ("https://api.test",)
    assert learned.provider().pkce


def test_the_document_of_the_origin_is_next() -> None:
    """Its `resource` may be the origin: many servers name that."""
    answers = {ROOT_DOCUMENT: resource_document(resource="https://api.test"), SERVER_DOCUMENT: server_document()}
    learned = learned_from(answers)
    assert (learned.resource, learned.document) == ("https://api.test", ROOT_DOCUMENT)


def test_else_the_challenge_of_a_get_request_names_it() -> None:
    """A document at any place; the request has no side effects."""
    at = "https://api.test/custom/location.json"
    probed = Reply(401, headers={"WWW-Authenticate": f'Bearer resource_metadata="{at}", scope="a b"'})
    learned = learned_from({at: resource_document(), SERVER_DOCUMENT: server_document()}, probed=probed)
    assert (learned.document, learned.challenge_scope) == (at, "a b")


def test_the_challenge_of_the_users_request_has_precedence() -> None:
    """The specification of 2026-07-28 demands it; no other document is asked for.

    It may be at another origin. Then the resource itself is asked too: its address decides about that of the other.
    """
    at = "https://meta.test/of-the-api"
    fetch = ScriptedFetch({**USUAL, at: resource_document()})
    learned = learn(RESOURCE, fetch=fetch, store=MemoryStore(), now=NOW, challenge=ResourceChallenge(at, "files:read"))
    assert learned is not None
    assert fetch.asked == [f"GET {RESOURCE}", at, SERVER_DOCUMENT]
    assert learned.challenge_scope == "files:read"


@pytest.mark.parametrize(
    "at", ["http://meta.test/", "javascript:alert(1)", "/metadata", "https://a:b@meta.test/", "x" * 9000]
)
def test_a_challenge_that_names_anything_but_a_document_is_an_error(at: str) -> None:
    """Nothing is asked for."""
    fetch = ScriptedFetch(USUAL)
    with raises(ProtocolError, parameter="resource_metadata", shows=RESOURCE):
        learn(RESOURCE, fetch=fetch, store=MemoryStore(), now=NOW, challenge=ResourceChallenge(at, None))
    assert fetch.asked == []


@pytest.mark.parametrize("probed", [Reply(200), Reply(404), Reply(405), Reply(403), Reply(302), Reply(503)])
def test_a_url_that_is_not_protected_is_nothing_to_learn(probed: Reply) -> None:
    """Neither documents nor a challenge: the request is sent without a token."""
    fetch = ScriptedFetch({}, probed=probed)
    assert learn(RESOURCE, fetch=fetch, store=MemoryStore(), now=NOW) is None


def test_a_challenge_for_another_scheme_asks_for_no_token() -> None:
    """Basic is not OAuth."""
    probed = Reply(401, headers={"WWW-Authenticate": 'Basic realm="api"'})
    assert learn(RESOURCE, fetch=ScriptedFetch({}, probed=probed), store=MemoryStore(), now=NOW) is None


@pytest.mark.parametrize(
    "page", [HTML, Reply(200, b"[1]"), Reply(200, b'{"error": "unknown path"}'), Reply(401), ProtocolError("too long")]
)
def test_a_page_at_a_well_known_url_does_not_count(page: Answer) -> None:
    """Many applications answer every path with a page, or with an error as JSON."""
    answers = {OWN_DOCUMENT: page, ROOT_DOCUMENT: resource_document(), SERVER_DOCUMENT: server_document()}
    assert learned_from(answers).document == ROOT_DOCUMENT


# Whose document it is


@pytest.mark.parametrize(
    "resource",
    [
        "https://evil.test/mcp",
        "http://api.test/mcp",
        "https://api.test:8443/mcp",
        "https://api.test/other",
        "https://api.test/mc",
        "https://api.test/mcp/deeper",
        "https://api.test/mcp?tenant=2",
        "https://api.test/mcp#part",
        "https://user@api.test/mcp",
        "mcp",
        "",
    ],
)
def test_a_document_of_another_resource_is_refused(resource: str) -> None:
    """The error names the document's URL and the member."""
    named = resource.partition("@")[2] or resource.partition("?")[0]
    with raises(ConfigurationError, parameter="resource", shows=(OWN_DOCUMENT, RESOURCE, named)):
        learned_from({**USUAL, OWN_DOCUMENT: resource_document(resource=resource)})


@pytest.mark.parametrize(("mine", "named"), [("?tenant=1", "?tenant=2"), ("", "?tenant=2"), ("/?a=1", "?b=2")])
def test_another_query_than_that_of_the_document_is_named(mine: str, named: str) -> None:
    """The error shows both URLs whole, and that it is the query."""
    url = RESOURCE + mine
    root = {ROOT_DOCUMENT: {**resource_document(), "resource": RESOURCE + named}, SERVER_DOCUMENT: server_document()}
    answers = {**root, "https://api.test/.well-known/oauth-protected-resource/mcp" + mine: root[ROOT_DOCUMENT]}
    with raises(ConfigurationError, parameter="resource", shows=(repr(url), repr(RESOURCE + named), "another query")):
        learned_from(answers, url=url)


@pytest.mark.parametrize(
    "resource", [RESOURCE, f"{RESOURCE}/", "https://api.test", "https://api.test/", "https://API.test:443/mcp"]
)
def test_the_url_itself_or_a_part_of_its_path_is_accepted(resource: str) -> None:
    """It is sent as the document spells it."""
    assert learned_from({**USUAL, OWN_DOCUMENT: resource_document(resource=resource)}).resource == resource


def test_two_resources_of_one_host_never_mix() -> None:
    """The document of the origin describes another one: it is not used, and nothing is guessed."""
    answers = {ROOT_DOCUMENT: resource_document(resource="https://api.test/other"), SERVER_DOCUMENT: server_document()}
    store = MemoryStore()
    assert learn(RESOURCE, fetch=ScriptedFetch(answers), store=store, now=NOW) is None
    with raises(ConfigurationError, parameter="resource", shows=ROOT_DOCUMENT):
        learn(RESOURCE, fetch=ScriptedFetch(answers), store=store, now=NOW, challenge=CHALLENGED)
    assert list(store.keys()) == []


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("resource", None),
        ("resource", 7),
        ("authorization_servers", None),
        ("authorization_servers", []),
        ("authorization_servers", "https://as.test"),
        ("authorization_servers", [7]),
        ("authorization_servers", ["http://as.test"]),
        ("authorization_servers", ["https://as.test/?x=1"]),
        ("authorization_servers", ["javascript:alert(1)"]),
        ("authorization_servers", ["https://user:pw@as.test"]),
        ("bearer_methods_supported", ["body"]),
        ("scopes_supported", "read"),
    ],
)
def test_a_document_that_cannot_be_used_names_the_member(member: str, value: Any) -> None:
    """And its own URL."""
    with raises(ProtocolError, parameter=member, shows=(OWN_DOCUMENT, member)):
        learned_from({**USUAL, OWN_DOCUMENT: resource_document(**{member: value})})


# The authorization server


@pytest.mark.parametrize(
    ("issuer", "asked"),
    [
        (
            "https://as.test",
            [
                "https://as.test/.well-known/oauth-authorization-server",
                "https://as.test/.well-known/openid-configuration",
            ],
        ),
        (
            "https://as.test/",
            [
                "https://as.test/.well-known/oauth-authorization-server",
                "https://as.test/.well-known/openid-configuration",
            ],
        ),
        (
            "https://as.test/tenant1/",
            [
                "https://as.test/.well-known/oauth-authorization-server/tenant1",
                "https://as.test/.well-known/openid-configuration/tenant1",
                "https://as.test/tenant1/.well-known/openid-configuration",
            ],
        ),
    ],
)
def test_the_order_of_the_specification(issuer: str, asked: list[str]) -> None:
    """Of 2026-07-28; a slash at the end is cut. A server without any document is named with all of them."""
    fetch = ScriptedFetch({OWN_DOCUMENT: resource_document(authorization_servers=[issuer])})
    with raises(ProtocolError, parameter="authorization_servers", shows=(OWN_DOCUMENT, issuer, *asked)):
        learn(RESOURCE, fetch=fetch, store=MemoryStore(), now=NOW)
    assert fetch.asked[2:] == asked


@pytest.mark.parametrize(
    ("named", "spelled"), [("https://as.test", "https://as.test/"), ("https://as.test/", "https://as.test")]
)
def test_where_only_a_slash_differs_the_servers_own_spelling_counts(named: str, spelled: str) -> None:
    """As at Google. From then on `iss` is compared with it."""
    document = {OWN_DOCUMENT: resource_document(authorization_servers=[named])}
    learned = learned_from({**document, SERVER_DOCUMENT: server_document(spelled)})
    assert (learned.issuer, learned.provider().issuer) == (spelled, spelled)


@pytest.mark.parametrize("named", ["https://evil.test", "https://as.test/tenant", "https://AS.test", 7, None])
def test_a_document_that_names_another_issuer_is_not_used(named: Any) -> None:
    """Compared without normalization, apart from a slash at the end."""
    shown = named if isinstance(named, str) else SERVER_DOCUMENT
    with raises(ConfigurationError, parameter="issuer", shows=(SERVER_DOCUMENT, shown)):
        learned_from({**USUAL, SERVER_DOCUMENT: {**server_document(), "issuer": named}})


def test_the_next_document_of_the_same_issuer_may_be_right() -> None:
    """One behind a gateway may belong to another tenant."""
    openid = "https://as.test/.well-known/openid-configuration"
    answers = {**USUAL, SERVER_DOCUMENT: server_document("https://evil.test"), openid: server_document()}
    assert learned_from(answers).issuer == ISSUER


@pytest.mark.parametrize("methods", [None, [], ["plain"], "S256"])
def test_a_server_without_pkce_is_refused(methods: Any) -> None:
    """As the specification demands."""
    member = "code_challenge_methods_supported"
    with raises(ProtocolError, parameter=member, shows=(SERVER_DOCUMENT, member)):
        learned_from({**USUAL, SERVER_DOCUMENT: server_document(**{member: methods})})


def test_a_server_that_signs_nobody_in_needs_no_pkce() -> None:
    """Without an authorization endpoint there is nothing to intercept."""
    server = server_document(code_challenge_methods_supported=None, authorization_endpoint=None)
    assert learned_from({**USUAL, SERVER_DOCUMENT: server}).provider().authorization_endpoint is None


@pytest.mark.parametrize(
    "member",
    [
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
        "device_authorization_endpoint",
        "pushed_authorization_request_endpoint",
    ],
)
@pytest.mark.parametrize(
    "url",
    [
        "http://as.test/x",
        "javascript:alert(document.cookie)",
        "file:///etc/passwd",
        "data:text/html,<script>",
        "myapp://x",
        "//as.test/x",
        "https://as.test/x y",
        "https://as.test/\u202etxt",
        "https://user:secret-pw@as.test/x",
        "https://as.test/x#fragment",
        7,
        ["https://as.test/x"],
    ],
)
def test_each_endpoint_is_https_and_nothing_else_reaches_a_browser(member: str, url: Any) -> None:
    """Or http on this machine. The error names the document and the member, and no password."""
    with raises(ProtocolError, parameter=member, shows=(SERVER_DOCUMENT, member)) as caught:
        learned_from({**USUAL, SERVER_DOCUMENT: server_document(**{member: url})})
    assert "secret-pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("token_endpoint", None),
        ("token_endpoint", ""),
        ("scopes_supported", "read"),
        ("grant_types_supported", {"a": 1}),
        ("token_endpoint_auth_methods_supported", [["none"]]),
        ("require_pushed_authorization_requests", True),
        ("mtls_endpoint_aliases", {"token_endpoint": "http://as.test/mtls"}),
    ],
)
def test_a_server_document_that_cannot_be_used_is_an_error(member: str, value: Any) -> None:
    """It names its URL."""
    with raises(ProtocolError, shows=SERVER_DOCUMENT):
        learned_from({**USUAL, SERVER_DOCUMENT: server_document(**{member: value})})


def test_the_first_usable_server_is_used() -> None:
    """Of those that the resource names, in its order."""
    servers = ["https://gone.test", "https://evil.test", ISSUER]
    evil = "https://evil.test/.well-known/oauth-authorization-server"
    answers = {**USUAL, OWN_DOCUMENT: resource_document(authorization_servers=servers), evil: server_document()}
    assert learned_from(answers).issuer == ISSUER


def test_an_error_for_several_servers_names_each() -> None:
    """Five are considered, however many there are."""
    servers = [f"https://as{number}.test" for number in range(9)]
    fetch = ScriptedFetch({OWN_DOCUMENT: resource_document(authorization_servers=servers)})
    with raises(ProtocolError, shows=tuple(servers[:5])):
        learn(RESOURCE, fetch=fetch, store=MemoryStore(), now=NOW)
    assert len(fetch.asked) == 2 + 2 * 5


def test_the_server_that_was_used_before_has_precedence() -> None:
    """A changed order must not end the sign-ins of all users. One that is no longer listed is not used."""
    store, other = MemoryStore(), "https://other.test"
    learned_from(USUAL, store=store)
    both = {**USUAL, f"{other}/.well-known/oauth-authorization-server": server_document(other)}

    def later(servers: list[str]) -> str:
        answers = {**both, OWN_DOCUMENT: resource_document(authorization_servers=servers)}
        learned = learn(RESOURCE, fetch=ScriptedFetch(answers), store=store, now=NOW + 10, again=True)
        assert learned is not None
        return learned.issuer

    assert later([other, ISSUER]) == ISSUER
    assert later([other]) == other


# Earlier revisions of the specification


def test_the_origin_is_the_issuer_of_a_resource_without_metadata() -> None:
    """2025-03-26, if a challenge asks for a token."""
    at = "https://api.test/.well-known/oauth-authorization-server"
    learned = learned_from({at: server_document("https://api.test")}, challenge=CHALLENGED)
    assert (learned.issuer, learned.document, learned.resource) == ("https://api.test", None, RESOURCE)


@pytest.mark.parametrize("member", ["token_endpoint", "registration_endpoint", "revocation_endpoint"])
def test_an_endpoint_with_a_private_address_is_refused_before_anybody_signs_in(member: str) -> None:
    """Where the resource has a public one. A name is judged when it is connected to."""
    with raises(ConfigurationError, parameter=member, shows=(SERVER_DOCUMENT, "10.0.0.1")):
        learned_from({**USUAL, SERVER_DOCUMENT: server_document(**{member: "https://10.0.0.1/x"})})


def test_a_server_without_any_document_has_endpoints_with_fixed_paths() -> None:
    """2025-03-26, only on the origin of the resource and if each document is missing."""
    learned = learned_from({}, challenge=CHALLENGED)
    provider = learned.provider()
    assert provider.authorization_endpoint == "https://api.test/authorize"
    assert provider.token_endpoint == "https://api.test/token"
    assert learned.server["registration_endpoint"] == "https://api.test/register"


def test_a_page_in_the_place_of_each_document_is_not_guessed_around() -> None:
    """The error names each URL."""
    at = "https://api.test/.well-known/oauth-authorization-server"
    with raises(ProtocolError, shows=(OWN_DOCUMENT, ROOT_DOCUMENT, at)):
        learned_from({OWN_DOCUMENT: HTML, ROOT_DOCUMENT: HTML, at: HTML}, challenge=CHALLENGED)


# Servers that do not answer


@pytest.mark.parametrize("status", [500, 502, 503, 429])
@pytest.mark.parametrize("at", [OWN_DOCUMENT, SERVER_DOCUMENT])
def test_a_server_that_is_down_is_tried_later(status: int, at: str) -> None:
    """It is not taken for one without metadata."""
    with raises(TemporarilyUnavailable, shows=at):
        learned_from({**USUAL, at: Reply(status)}, challenge=CHALLENGED)


def test_a_probe_that_fails_does_not_matter_if_the_document_was_found() -> None:
    """It would only have shown a scope."""
    fetch = ScriptedFetch(USUAL)

    def failing(_url: str, **_: Any) -> Any:
        raise TemporarilyUnavailable("no response")

    fetch.probe = failing  # type: ignore[method-assign]
    assert learn(RESOURCE, fetch=fetch, store=MemoryStore(), now=NOW) is not None


# The URL


@pytest.mark.parametrize(
    "url",
    [
        "http://api.test/mcp",
        "https://api.test/mcp#part",
        "https://user:pw@api.test/mcp",
        "mcp.example.com",
        "ftp://api.test",
        OWN_DOCUMENT,
    ],
)
def test_a_url_that_cannot_be_a_resource_is_refused(url: str) -> None:
    """Before anything is asked."""
    fetch = ScriptedFetch({})
    with raises(ConfigurationError, parameter="url"):
        learn(url, fetch=fetch, store=MemoryStore(), now=NOW)
    assert fetch.asked == []


# The value


@pytest.mark.parametrize(
    ("explicit", "challenge", "listed", "wanted"),
    [
        (None, None, ([], []), None),
        (None, None, (["a", "b"], []), "a b"),
        (None, "c", (["a", "b"], []), "c"),
        ("d", "c", (["a", "b"], []), "d"),
        (None, None, ([], ["offline_access"]), None),
        (None, None, (["a"], ["offline_access", "a"]), "a offline_access"),
        ("offline_access d", None, ([], ["offline_access"]), "offline_access d"),
    ],
)
def test_which_scope_is_asked_for(
    explicit: str | None, challenge: str | None, listed: tuple[list[str], list[str]], wanted: str | None
) -> None:
    """An explicit one, else that of the challenge, else those that are `listed` by the resource, else none.

    `offline_access` is added where the server lists it.
    """
    by_resource, by_server = listed
    answers = {
        OWN_DOCUMENT: resource_document(scopes_supported=by_resource),
        SERVER_DOCUMENT: server_document(scopes_supported=by_server),
    }
    learned = learned_from(answers, challenge=ResourceChallenge(None, challenge))
    assert learned.wanted_scope(explicit) == wanted


def test_a_scope_that_was_asked_for_earlier_is_not_lost() -> None:
    """If a challenge asks for another one."""
    learned = learned_from(USUAL, challenge=ResourceChallenge(None, "write"))
    assert learned.wanted_scope(None, ("read", "write")) == "read write"


def test_scopes_that_are_not_scope_tokens_are_left_out() -> None:
    """A quote or a line break in one would end the parameter, or the line."""
    learned = learned_from(
        {**USUAL, OWN_DOCUMENT: resource_document(scopes_supported=["a", 'b"c', "d e", "\u202ef", ""])}
    )
    assert learned.scopes_supported == ("a",)


def test_what_was_learned_survives_a_store() -> None:
    """As JSON. A member that is missing or of another type makes it unusable, and never raises."""
    learned = learned_from(USUAL)
    data = json.loads(json.dumps(learned.to_data()))
    assert Learned.from_data(data) == learned
    for name in set(data) - {"document", "challenge_scope"}:
        assert Learned.from_data({**data, name: None}) is None, name
        assert Learned.from_data({**data, name: ["x"] if name == "url" else 7}) is None or name == "learned_at", name
    assert Learned.from_data({}) is None
    assert Learned.from_data({**data, "resource": "https://evil.test/mcp"}) is None
    assert Learned.from_data({**data, "issuer": "https://evil.test"}) is None
    assert Learned.from_data({**data, "settings": {**data["settings"], "api_origins": ["https://evil.test"]}}) is None
    assert Learned.from_data({**data, "settings": {**data["settings"], "pkce": False}}) is None
    assert Learned.from_data({**data, "server": {**data["server"], "registration_endpoint": "http://as.test"}}) is None
