"""An API that describes its own sign-in, through every client: learning, signing in, renewing, and going without.

The API and its authorization server run on loopback; the library has never seen them before.
"""

from __future__ import annotations

import json
import pickle
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.clients import HERD, HTTPX, Kind, body_once, through_every_client
from support.errors import raises
from support.limits import PATIENCE
from support.processes import Child
from support.protected_site import ProtectedSite, Users, user
from support.sites import Reply, Site
from support.waiting import Events, settle

from blnk_auth import (
    ConfigurationError,
    MemoryStore,
    ProtectedResource,
    SignInRequired,
    SQLiteStore,
    TokenSource,
)
from blnk_auth._protocol.resource_metadata import ResourceChallenge
from blnk_auth.stores._token_store import TokenStore
from blnk_auth.testing import Sandbox

PROCESS = Path(__file__).parent.parent / "support" / "resource_process.py"


@pytest.fixture
def site() -> Iterator[ProtectedSite]:
    with ProtectedSite() as opened:
        yield opened


@pytest.fixture
def users() -> Users:
    return Users()


@pytest.fixture
def events() -> Events:
    return Events()


def source_at(site: ProtectedSite, sign_in: Any, *, path: str = "/mcp", **settings: Any) -> TokenSource:
    """The source of one user of a resource that this process has never used before."""
    return ProtectedResource(site.url(path), **settings).for_subject("me", sign_in=sign_in)


@through_every_client
def test_the_first_request_learns_registers_and_signs_in(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """The request is sent once, with a token for this resource, after one registration and one sign-in."""
    with kind.open(source_at(site, users)) as http:
        assert http.post(site.url(), json={"n": 1}).status == 200
        assert http.get(site.url()).status == 200
    assert [request.method for request in site.requests_to("/mcp") if request.authorization] == ["POST", "GET"]
    assert [request.method for request in site.requests_to("/mcp") if request.method == "POST"] == ["POST"]
    assert users.asked == 1
    assert site.server.asked == {"register": 1, "authorize": 1, "token authorization_code": 1}
    assert set(site.server.resources) == {site.url()}


@through_every_client
def test_the_challenge_of_the_request_has_the_scope(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """Where only a POST is challenged, the first one is sent without a token, and its challenge has the scope."""
    site.takes_only_posts, site.challenge = True, ', scope="write"'
    with kind.open(source_at(site, users)) as http:
        assert http.post(site.url(), json={"n": 1}).status == 200
        assert site.server.scopes == ["write"]
        site.server.end_grants()
        assert http.post(site.url(), json={"n": 2}).status == 200
    assert [bool(request.authorization) for request in site.requests_to("/mcp") if request.method == "POST"] == [
        *(False, True),
        *(True, True),
    ]
    assert site.server.scopes == ["write"]
    assert users.asked == 2


@through_every_client
def test_without_sign_in_the_error_asks_for_the_scope_of_that_challenge(site: ProtectedSite, kind: Kind) -> None:
    """It is that of the application's own request: nothing but GET is sent in order to learn."""
    site.takes_only_posts, site.challenge = True, ', scope="write"'
    store = MemoryStore()
    with kind.open(source_at(site, None, store=store)) as http:
        with pytest.raises(SignInRequired) as caught:
            http.post(site.url(), json={"n": 1})
        assert caught.value.authorization is not None
        assert parse_qs(urlsplit(caught.value.authorization.url).query)["scope"] == ["write"]
        ProtectedResource(site.url(), store=store).finish_authorization(user(caught.value.authorization))
        assert http.post(site.url(), json={"n": 2}).status == 200
    assert site.server.scopes == ["write"]
    posted = [json.loads(request.body) for request in site.requests_to("/mcp") if request.method == "POST"]
    assert posted == [{"n": 1}, {"n": 2}]


def test_that_challenge_may_be_for_a_bound_token(site: ProtectedSite) -> None:
    """A client with `dpop` has sent no proof yet, since it has no token (RFC 9449 section 7.1)."""
    site.takes_only_posts, site.scheme = True, "DPoP"
    site.server.metadata["dpop_signing_alg_values_supported"] = ["ES256"]
    with HTTPX.open(source_at(site, None, dpop=True)) as http, pytest.raises(SignInRequired) as caught:
        http.post(site.url(), json={"n": 1})
    assert caught.value.authorization is not None


@through_every_client
def test_nobody_is_asked_if_the_api_accepts_the_request_without_a_token(
    site: ProtectedSite, users: Users, kind: Kind
) -> None:
    """A sign-in needs a rejection, where the challenge of the API is not known yet."""
    site.is_protected = False
    with kind.open(source_at(site, users)) as http:
        assert http.get(site.url()).status == 200
        assert users.asked == 0
        site.is_protected = True
        assert http.get(site.url()).status == 200
    assert users.asked == 1


def test_a_server_that_lists_other_grants_only_gets_no_request_for_the_clients_own_token(site: ProtectedSite) -> None:
    """The error names the server, its list and the grant; a server that lists nothing is asked."""
    site.server.metadata["grant_types_supported"] = ["authorization_code", "refresh_token"]
    shown = (site.server.issuer, "authorization_code, refresh_token", "client_credentials")
    with raises(ConfigurationError, parameter="for_itself", shows=shown):
        ProtectedResource(site.url()).for_itself().token()
    assert site.server.asked["token client_credentials"] == 0
    site.server.metadata["grant_types_supported"] = []
    assert ProtectedResource(site.url()).for_itself().token().access_token


def test_two_threads_that_learn_at_the_same_time_get_one_client(site: ProtectedSite) -> None:
    """Each has another challenge. Otherwise there would be two current tokens of one grant in the process."""
    together = threading.Barrier(2)

    class Together(MemoryStore):
        def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
            if key.startswith("client/"):
                together.wait(PATIENCE)
            return super().lock(key, timeout=timeout)

    state = ProtectedResource(site.url(), store=Together())._state  # pyright: ignore[reportPrivateUsage]
    with ThreadPoolExecutor(2) as pool:
        challenges = (ResourceChallenge(None, scope) for scope in ("read", "write"))
        asked = [pool.submit(state.known_client, None, challenge=challenge) for challenge in challenges]
        clients = [each.result(PATIENCE) for each in asked]
    assert None not in clients
    assert len({id(each.state) for each in clients if each is not None}) == 1
    assert site.server.asked == {"register": 1}


def test_a_basic_header_does_not_replace_the_client_id() -> None:
    """Some servers look for it in the body, also beside a Basic header."""
    with Sandbox("mcp") as sandbox:
        registered = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
        api = ProtectedResource(f"{sandbox.origin}/mcp", client_auth="client_secret_basic", **registered)
        assert api.for_itself().token().access_token
        [request] = [each for each in sandbox.requests if each.path == "/token"]
    assert request.headers["authorization"].startswith("Basic ")
    assert request.form["client_id"] == sandbox.client_id


@through_every_client
def test_fifty_first_requests_share_one_sign_in(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """All of them wait for the same flight, and succeed."""
    with kind.open(source_at(site, users)) as http:
        answers = http.herd(site.url())
    assert [answer.status for answer in answers] == [200] * HERD
    assert users.asked == 1
    assert site.server.asked == {"register": 1, "authorize": 1, "token authorization_code": 1}


@through_every_client
def test_a_rejected_token_is_refreshed_for_the_same_resource(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """After the sign-in, everything is as with any other grant: one refresh, and nobody is asked again."""
    with kind.open(source_at(site, users)) as http:
        assert http.get(site.url()).status == 200
        site.server.revoke_access_tokens()
        answers = http.herd(site.url())
    assert {answer.status for answer in answers} == {200}
    assert users.asked == 1
    assert site.server.asked["token refresh_token"] == 1
    assert set(site.server.resources) == {site.url()}
    assert not site.server.replayed


def test_an_api_that_rejects_many_tokens_is_asked_for_its_documents_once_a_minute(
    site: ProtectedSite, users: Users
) -> None:
    """It may name another server by now."""
    document, now = "/.well-known/oauth-protected-resource/mcp", [1_700_000_000.0]
    with HTTPX.open(source_at(site, users, clock=lambda: now[0])) as http:
        assert http.get(site.url()).status == 200
        learned = len(site.requests_to(document))
        for _ in range(3):
            now[0] += 25
            site.server.revoke_access_tokens()
            assert http.get(site.url()).status == 200
    assert len(site.requests_to(document)) == learned + 1


@through_every_client
def test_an_ended_grant_is_signed_in_again(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """The refusal of the refresh leads to another sign-in inside the same request, of the same client."""
    with kind.open(source_at(site, users)) as http:
        assert http.get(site.url()).status == 200
        site.server.end_grants()
        assert http.post(site.url(), json={}).status == 200
    assert users.asked == 2
    assert site.server.asked["register"] == 1


@through_every_client
def test_a_url_that_describes_nothing_gets_no_token(
    site: ProtectedSite, users: Users, events: Events, kind: Kind
) -> None:
    """Its requests are sent as they are, and an event reports why, once."""
    site.is_protected, site.describes = False, False
    with kind.open(source_at(site, users, on_event=events)) as http:
        assert [http.get(site.url()).status for _ in range(3)] == [200] * 3
        assert http.post(site.url(), json={}).status == 200
    assert all(request.authorization is None for request in site.site.received)
    assert users.asked == 0
    settle()
    assert events.names.count("not_protected") == 1


@through_every_client
def test_the_rejection_of_a_request_without_a_token_leads_to_a_sign_in(
    site: ProtectedSite, users: Users, kind: Kind
) -> None:
    """Where the API begins to want a token, its challenge is learned from, and the request is repeated."""
    site.is_protected, site.describes = False, False
    with kind.open(source_at(site, users)) as http:
        assert http.post(site.url(), json={"n": 1}).status == 200
        site.is_protected, site.describes = True, True
        answer = http.post(site.url(), json={"n": 2})
    assert (answer.status, answer.body) == (200, b"hello")
    assert [json.loads(each.body) for each in site.requests_to("/mcp") if each.method == "POST"] == [
        {"n": 1},
        {"n": 2},
        {"n": 2},
    ]
    assert users.asked == 1


@through_every_client
def test_the_first_token_may_have_ended_before_it_is_used(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """As one that another process has got and used: it is renewed, and the request is sent a third time."""
    site.takes_only_posts = True
    site.at_next_tokens = [site.server.revoke_access_tokens]
    with kind.open(source_at(site, users)) as http:
        assert http.post(site.url(), json={"n": 1}).status == 200
    sent = [each.authorization for each in site.requests_to("/mcp") if each.method == "POST"]
    assert len(sent) == len(set(sent)) == 3
    assert sent[0] is None
    assert users.asked == 1
    assert site.server.asked["token refresh_token"] == 1


@through_every_client
def test_no_request_is_sent_a_fourth_time(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """An API that rejects every token gets three attempts of one request, and its answer is returned."""
    site.takes_only_posts = True
    site.at_next_tokens = [site.server.revoke_access_tokens] * 2
    with kind.open(source_at(site, users)) as http:
        assert http.post(site.url(), json={}).status == 401
    assert len([each for each in site.requests_to("/mcp") if each.method == "POST"]) == 3
    assert users.asked == 1


@through_every_client
def test_another_server_may_ask_within_the_same_request(users: Users, kind: Kind) -> None:
    """The resource names another one while the user signs in at the first, whose token is rejected then."""
    with ProtectedSite() as site, ProtectedSite() as elsewhere:
        site.takes_only_posts = True
        site.at_next_tokens = [lambda: site.servers.update({"/mcp": elsewhere.server})]
        with kind.open(source_at(site, users)) as http:
            assert http.post(site.url(), json={}).status == 200
        assert users.asked == 2
        assert elsewhere.server.asked == {"register": 1, "authorize": 1, "token authorization_code": 1}


@through_every_client
def test_a_body_that_cannot_be_repeated_gets_its_rejection_back(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """Nobody is asked to sign in because of it. The next request finds what was learned."""
    site.is_protected, site.describes = False, False
    with kind.open(source_at(site, users)) as http:
        assert http.get(site.url()).status == 200
        site.is_protected, site.describes = True, True
        assert http.post(site.url(), **{kind.body_parameter: body_once(kind)}).status == 401
        assert users.asked == 0
        assert http.get(site.url()).status == 200
    assert users.asked == 1


@through_every_client
def test_without_sign_in_a_request_reports_where_to_send_the_user(site: ProtectedSite, kind: Kind) -> None:
    """Fifty requests get the same sign-in. Finished in another process, it serves the next request."""
    store = MemoryStore()
    api = ProtectedResource(site.url(), store=store)
    with kind.open(api.for_subject("me")) as http:
        errors = http.results(site.url())
        required = [each for each in errors if isinstance(each, SignInRequired)]
        urls = {error.authorization.url for error in required if error.authorization is not None}
        assert len(required) == HERD
        assert len(urls) == 1
        assert isinstance(errors[0], kind.request_error)
        assert not site.requests_to("/mcp")[1:]
        ProtectedResource(site.url(), store=store).finish_authorization(_callback(urls.pop()))
        assert http.get(site.url()).status == 200
    assert site.server.asked == {"register": 1, "authorize": 1, "token authorization_code": 1}


def _callback(url: str) -> str:
    class Request:
        pass

    request = Request()
    request.url = url  # type: ignore[attr-defined]
    return user(request)


@through_every_client
def test_two_resources_of_one_host_never_mix(users: Users, kind: Kind) -> None:
    """Each gets tokens of its own server, and a request outside a resource is sent without its token."""
    with ProtectedSite("/a", "/b") as site:
        a, b = source_at(site, users, path="/a"), source_at(site, users, path="/b")
        with kind.open(a) as of_a, kind.open(b) as of_b:
            assert (of_a.get(site.url("/a/x")).status, of_b.get(site.url("/b")).status) == (200, 200)
            for path in ("/b", "/a/../b", "/a/%2e%2e/b", "/ab", "/"):
                of_a.get(site.url(path))
        ports = {path: server.site.port for path, server in site.servers.items()}
        sent = [(each.path, each.authorization) for each in site.site.received if each.authorization]
        assert {path.split("/")[1] for path, token in sent if (token or "").endswith(f"-{ports['/a']}")} == {"a"}
        assert {path for path, token in sent if (token or "").endswith(f"-{ports['/b']}")} == {"/b"}


@through_every_client
def test_a_resource_that_names_its_origin_covers_all_of_it(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """As Slack's: the token is for the origin, and is asked for with that name."""
    site.resources["/mcp"] = site.site.origin
    with kind.open(source_at(site, users)) as http:
        assert http.get(site.url()).status == 200
        http.get(site.url("/other"))
    assert set(site.server.resources) == {site.site.origin}
    assert site.requests_to("/other")[0].authorization is not None


@through_every_client
@pytest.mark.parametrize("is_challenged", [True, False], ids=["with a token", "without one first"])
def test_a_redirect_within_the_resource_keeps_the_token(
    site: ProtectedSite, users: Users, kind: Kind, is_challenged: bool
) -> None:
    """Frameworks redirect /mcp to /mcp/. A request that is rejected there is repeated there."""
    site.redirects["/mcp"] = "/mcp/"
    site.takes_only_posts = not is_challenged
    with kind.open(source_at(site, users), follow=True) as http:
        assert http.post(site.url(), json={"n": 1}).status == 200
        site.server.revoke_access_tokens()
        assert http.post(site.url(), json={"n": 2}).status == 200
    assert users.asked == 1
    assert site.server.asked["token refresh_token"] == 1
    assert [json.loads(each.body)["n"] for each in site.requests_to("/mcp/") if each.authorization] == [1, 2, 2]


@through_every_client
def test_a_redirect_to_another_origin_has_no_token(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """Not of a request with a token, and a rejection there is not answered with one."""
    with Site(lambda _: Reply.rejected()) as elsewhere:
        site.redirects["/mcp"] = f"{elsewhere.origin}/mcp"
        with kind.open(source_at(site, users), follow=True) as http:
            assert http.get(site.url()).status == 200
            assert http.post(site.url(), json={}).status == 401
        assert elsewhere.authorizations == [None]
    assert users.asked == 1


@through_every_client
def test_a_challenge_of_another_origin_is_not_learned_from(site: ProtectedSite, users: Users, kind: Kind) -> None:
    """A request without a token is redirected to a host that asks for one: the caller gets that response."""
    site.is_protected, site.describes = False, False
    with ProtectedSite() as elsewhere:
        site.redirects["/mcp"] = elsewhere.url()
        with kind.open(source_at(site, users), follow=True) as http:
            assert http.post(site.url(), json={}).status == 401
        assert [each.path for each in elsewhere.site.received] == ["/mcp"]
        assert not elsewhere.server.asked
    assert users.asked == 0


@through_every_client
def test_another_issuer_gets_nothing_of_the_first_one(users: Users, events: Events, kind: Kind) -> None:
    """When the resource names another issuer, its rejection leads there, with another registration and sign-in."""
    with ProtectedSite() as site, ProtectedSite() as elsewhere:
        first = site.server
        with kind.open(source_at(site, users, on_event=events)) as http:
            assert http.get(site.url()).status == 200
            site.servers["/mcp"] = elsewhere.server
            assert http.get(site.url()).status == 200
            assert http.get(site.url()).status == 200
        assert users.asked == 2
        settle()
        assert "issuer_changed" in events.names
        assert first.asked == {"register": 1, "authorize": 1, "token authorization_code": 1}
        assert elsewhere.server.asked == {"register": 1, "authorize": 1, "token authorization_code": 1}


@through_every_client
def test_a_client_that_its_server_has_forgotten_is_registered_again(
    site: ProtectedSite, users: Users, kind: Kind
) -> None:
    """One more registration and one more sign-in, inside the request."""
    with kind.open(source_at(site, users)) as http:
        assert http.get(site.url()).status == 200
        site.server.clients.clear()
        site.server.revoke_access_tokens()
        assert http.get(site.url()).status == 200
    assert (users.asked, site.server.asked["register"]) == (2, 2)


@through_every_client
def test_the_clients_own_token_needs_no_user(site: ProtectedSite, kind: Kind) -> None:
    """`for_itself` names the resource too, and asks for no `offline_access`."""
    site.server.metadata["scopes_supported"] = ["read", "offline_access"]
    site.server.clients["svc"] = {}
    api = ProtectedResource(site.url(), client_id="svc", client_secret="secret")
    with kind.open(api.for_itself()) as http:
        assert http.get(site.url()).status == 200
    assert site.server.asked == {"token client_credentials": 1}
    assert site.server.resources == [site.url()]
    assert [grant.scope for grant in site.server.grants] == ["read write"]


def test_a_restart_needs_no_second_sign_in(site: ProtectedSite, users: Users, tmp_path: Path) -> None:
    """What was learned, the client and the tokens are found in the store, with no request to any of the servers."""
    database = tmp_path / "tokens.db"

    def opened() -> TokenStore:
        return SQLiteStore(database)

    with HTTPX.open(source_at(site, users, store=opened())) as http:
        assert http.get(site.url()).status == 200
    before = dict(site.server.asked), len(site.server.site.received)
    # Another process has nothing of what this one keeps in memory.
    again = source_at(site, None, store=opened())
    assert again.state == "fresh"
    with HTTPX.open(again) as http:
        assert http.get(site.url()).status == 200
    assert (dict(site.server.asked), len(site.server.site.received)) == before
    assert list(ProtectedResource(site.url(), store=opened()).subjects()) == ["me"]


@pytest.mark.deep
def test_eight_processes_share_one_registration_and_one_sign_in(site: ProtectedSite, tmp_path: Path) -> None:
    """Processes that start at the same moment, with five requests each; the next ones need neither."""

    def run(n: int) -> tuple[set[int], int]:
        with ExitStack() as stack:
            command = sys.executable, str(PROCESS), site.url(), str(tmp_path / "tokens.db")
            children = [stack.enter_context(Child(*command)) for _ in range(n)]
            assert {child.says() for child in children} == {"ready"}
            for child in children:
                child.go_on()
            said = [child.says() for child in children]
        return {status for each in said for status in each["statuses"]}, sum(each["asked"] for each in said)

    assert run(8) == ({200}, 1)
    assert run(2) == ({200}, 0)
    assert site.server.asked == {"register": 1, "authorize": 1, "token authorization_code": 1}
    assert len([each for each in site.site.received if each.path == "/mcp" and each.authorization]) == 50


def test_a_restart_reports_that_the_issuer_has_changed(users: Users, events: Events) -> None:
    """Another process finds what was learned before, and that it is no longer so."""
    store = MemoryStore()
    with ProtectedSite() as site, ProtectedSite() as elsewhere:
        first = site.server.issuer
        assert source_at(site, users, store=store).token()
        site.servers["/mcp"] = elsewhere.server
        an_hour_later = time.time() + 3601
        again = source_at(site, users, store=store, on_event=events, clock=lambda: an_hour_later)
        assert again.token().access_token.endswith(f"-{elsewhere.server.site.port}")
        settle()
        changed = [event.detail for event in events if event.name == "issuer_changed"]
    assert changed == [f"{first} before, {elsewhere.server.issuer} now"]
    assert "resource_learned" not in events.names


@pytest.mark.parametrize(
    ("resource", "url", "is_covered"),
    [
        ("/mcp", "/mcp", True),
        ("/mcp", "/mcp/", True),
        ("/mcp/", "/mcp", True),
        ("/mcp", "/mcp/tools?a=1", True),
        ("/mcp", "/mcp?a=1", True),
        ("/mcp", "/mcp#part", True),
        ("/mcp", "/mcpx", False),
        ("/mcp", "/", False),
        ("/mcp", "", False),
        ("/mcp", "/other/mcp", False),
        ("/mcp", "/mcp/../other", False),
        ("/mcp", "/mcp/%2e%2E/other", False),
        ("/mcp", "/mcp/x%2f..%2f..%2fother", False),
        ("/mcp", "/mcp/..%5cother", False),
        ("/mcp", "/mcp/./x", False),
        ("", "/anything", True),
        ("/", "", True),
        ("/mcp?tenant=a", "/mcp?tenant=a", True),
        ("/mcp?tenant=a", "/mcp?tenant=a&page=2", True),
        ("/mcp?tenant=a", "/mcp?tenant=ab", False),
        ("/mcp?tenant=a", "/mcp", False),
    ],
)
def test_what_is_within_a_resource(resource: str, url: str, is_covered: bool) -> None:
    """By whole segments of the path, as its own name or the URL that the user named; nothing that dots may leave."""
    api = ProtectedResource(f"https://api.example.com{resource}")
    assert api._state.covers(f"https://api.example.com{url}") is is_covered


def test_an_application_signs_users_in_itself(site: ProtectedSite) -> None:
    """`start_authorization` learns and registers; another process that shares the store finishes."""
    store = MemoryStore()
    started = ProtectedResource(site.url(), store=store, scope="read").start_authorization("alice")
    alice = ProtectedResource(site.url(), store=store, scope="read").finish_authorization(user(started))
    assert alice.subject == "alice"
    assert alice.headers(site.url())["Authorization"].startswith("Bearer at")
    assert alice.headers(site.url("/other")) == {}
    assert [grant.scope for grant in site.server.grants] == ["read"]


def test_sources_and_resources_are_pickled_without_secrets(site: ProtectedSite, tmp_path: Path) -> None:
    """A pickled source is the same source at the same resource in another process; nothing secret is in it."""
    api = ProtectedResource(
        site.url(), store=SQLiteStore(tmp_path / "tokens.db"), client_id="svc", client_secret="very secret"
    )
    source = api.for_subject("me", sign_in=user, sign_in_timeout=5.0)
    pickled = pickle.dumps(source)
    assert b"very secret" not in pickled
    read: TokenSource = pickle.loads(pickled)
    assert (read.subject, read.store_key, read.state) == ("me", source.store_key, "missing")
    copied = pickle.loads(pickle.dumps(api))
    assert (copied.url, copied.issuer) == (api.url, None)


def test_the_same_arguments_get_the_same_source(site: ProtectedSite, users: Users) -> None:
    """One source for each resource, subject and way to sign in; before anything is learned it has the key of that."""
    api = ProtectedResource(site.url())
    assert api.for_subject("me", sign_in=users) is api.for_subject("me", sign_in=users)
    assert api.for_subject("me") is not api.for_subject("you")
    assert api.for_itself(scope="read") is api.for_itself(scope=["read"])
    assert api.for_subject("me").store_key.startswith("resource/")


def test_operations_by_hand_learn_first(site: ProtectedSite, users: Users) -> None:
    """`renew`, `revoke` and `forget` work on the grant at the server that was learned."""
    source = source_at(site, users)
    first = source.token()
    assert source.renew() != first
    assert source.store_key.startswith("token/")
    source.forget()
    assert source.state == "missing"


def test_a_url_that_describes_nothing_has_no_token(site: ProtectedSite, users: Users) -> None:
    """Who asks for the token itself gets an error; who asks for headers gets none."""
    site.is_protected, site.describes = False, False
    source = source_at(site, users)
    assert source.headers(site.url()) == {}
    with raises(ConfigurationError, parameter="url"):
        source.token()
    with raises(ConfigurationError, parameter="url"):
        source.renew()
