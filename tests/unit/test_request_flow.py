"""The request flow, stepped by hand: every path of attaching, judging, renewing and repeating, through each auth class.

No network: the test takes each request out of the flow, as an HTTP client would, and puts a response in. `AiohttpAuth`
is a middleware, which calls the client itself: the scenarios try it, beside the other clients, at a server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx2
import pytest
import requests

from blnk_auth import (
    ApiAnswer,
    BlnkAuthError,
    ConfigurationError,
    Httpx2Auth,
    HttpxAuth,
    RequestsAuth,
    SignInRequired,
    TemporarilyUnavailable,
    Token,
)
from blnk_auth._protocol.demands import DEMAND_STATUSES, Demand, step_up_in
from blnk_auth._protocol.origins import AllowedOrigins, Origin
from blnk_auth._renewal.cached_token import BEARER, DPOP, CachedToken
from blnk_auth._renewal.credential import Credential, RequestRules, Source
from blnk_auth._renewal.schedule import NEVER_RENEWED
from blnk_auth._renewal.single_flight import Flight
from blnk_auth._resource.resource_state import NO_TOKEN

API = "https://api.acme.test"
URL = f"{API}/accounts?page=2"
ELSEWHERE = "https://evil.test/accounts"
OUTAGE = TemporarilyUnavailable("the authorization server is down")
SIGN_IN = SignInRequired("nobody has signed in", reason="missing")
EXPIRED = {"www-authenticate": 'Bearer error="invalid_token"'}


@dataclass(frozen=True)
class Response:
    """What the API answers; `redirected_to`: after a redirect that the client followed."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    redirected_to: str | None = None


OK = Response()
SCOPE = Response(403, {"www-authenticate": 'Bearer error="insufficient_scope", scope="payments"'})
ASKED = "challenge: bearer error=insufficient_scope scope=payments"
STEP_UP = Response(401, {"www-authenticate": 'Bearer error="insufficient_user_authentication", acr_values="loa3"'})
REJECTED = Response(401, EXPIRED, b"expired")
DPOP_EXPIRED = Response(401, {"www-authenticate": 'DPoP error="invalid_token", algs="ES256"', "dpop-nonce": "late"})


def asks_for(nonce: str | None) -> Response:
    """The API wants this nonce in the proof (RFC 9449 section 9)."""
    brought = {} if nonce is None else {"dpop-nonce": nonce}
    return Response(401, {"www-authenticate": 'DPoP error="use_dpop_nonce"', **brought}, b"a nonce")


class Proofs:
    """Proofs in words: a number, and what each is for. Keeps the newest nonce."""

    def __init__(self, failure: BlnkAuthError | None) -> None:
        self.failure = failure
        self.made = 0
        self.nonce = "none"

    def prove(self, cached: CachedToken, method: str, url: str) -> Mapping[str, str]:
        if self.failure is not None:
            raise self.failure
        if not cached.needs_proof:
            return {}
        self.made += 1
        target = url.removeprefix(API).partition("?")[0]
        return {"DPoP": f"{self.made}: {method} {target} {cached.token.access_token} {self.nonce}"}

    def observe(self, url: str, status_code: int, headers: Mapping[str, str]) -> bool:
        assert url.startswith(API)
        self.nonce = headers.get("dpop-nonce", self.nonce)
        return "use_dpop_nonce" in headers.get("www-authenticate", "") and "dpop-nonce" in headers


class Scripted(Source):
    """A source whose credential follows a script, and logs what it was asked for.

    A token is named; None is a renewal that is refused because others resolved nothing; an error is what a flight ends
    in.
    """

    def __init__(self, row: Row) -> None:
        self.row = row
        self.proofs = None if row.proofs is None else Proofs(row.unprovable)
        self.rules = RequestRules(
            AllowedOrigins((API,) if row.origins is None else row.origins),
            row.header_name,
            has_api_headers=bool(row.api_headers),
            proof=self.proofs,
            rejection_statuses=frozenset({401}),
            reads_rejection_body=row.reads_body,
            judged_statuses=frozenset() if row.is_static else DEMAND_STATUSES,
            judges_consent=row.ended_status is not None,
            wait_timeout=1.0,
        )
        self.after_rejection: Scripted | None = None if row.is_static else self
        self.log: list[object] = []
        self.causes: set[str] = set()
        prefix = DPOP if row.proofs is not None and row.is_bound else BEARER
        self.tokens = {name: CachedToken(Token(name), NEVER_RENEWED, prefix=prefix) for name in ("at1", "at2", "at3")}
        self.tokens["none"] = NO_TOKEN
        self._ready = list(row.ready)
        self._replace = list(row.replace)
        self._signs_in = list(row.signs_in)

    @property
    def _credential(self) -> Credential:
        return self

    def fresh(self) -> CachedToken | None:
        return None if self.row.fresh is None else self.tokens[self.row.fresh]

    def ready(self, package: str | None) -> CachedToken | Flight[CachedToken]:
        if (fresh := self.fresh()) is not None and not self._ready:
            return fresh
        self.log.append("ready")
        given = self._ready.pop(0)
        return self.tokens[given[1:]] if isinstance(given, str) and given.startswith("=") else self._landed(given)

    def api_headers(self) -> Mapping[str, str]:
        if isinstance(self.row.api_headers, BlnkAuthError):
            raise self.row.api_headers
        return self.row.api_headers

    def report_withheld(self, origin: Origin | None) -> None:
        self.log.append(f"withheld: {origin}")

    def is_rejection(self, answer: ApiAnswer) -> bool:
        assert (answer.scheme == "DPoP") is (self.proofs is not None and self.row.is_bound)
        self.log.append(("judge", answer.status_code, answer.path, answer.body) if self.row.reads_body else "judge")
        if isinstance(self.row.judge, BlnkAuthError):
            raise self.row.judge
        return self.row.judge(answer)

    @property
    def demands(self) -> Scripted:
        return self

    def find(self, answer: ApiAnswer, sent: CachedToken) -> Demand | None:
        demand = step_up_in(answer, sent.prefix.strip(), ())
        if demand is None and answer.status_code == self.row.ended_status and answer.was_renewed >= self.row.ended_late:
            demand = Demand("consent_ended")
        if demand is not None:
            self.log.append(f"{sent.token.access_token} {demand.reason}")
        return demand

    def newer_token(self, sent: CachedToken, package: str) -> CachedToken | Flight[CachedToken | None] | None:
        newer = self.row.newer
        if newer is None or newer.startswith("="):
            return None if newer is None else self.tokens[newer[1:]]
        return self._landed(newer)

    def note(self, demand: Demand, answer: ApiAnswer, sent: CachedToken) -> SignInRequired | None:
        self.log.append("reported")
        return SignInRequired("more is asked for", reason=demand.reason) if self.row.raises else None

    def sign_in(self, error: SignInRequired, sent: CachedToken, package: str) -> Flight[CachedToken] | None:
        if not self._signs_in:
            return None
        self.log.append(f"sign in for {sent.token.access_token}")
        return self._landed(self._signs_in.pop(0))

    def note_missing_certificate(self, sent: CachedToken, *, was_renewed: bool) -> None:
        raise AssertionError("no request of this file is sent over TLS by an adapter of requests")

    def is_current(self, cached: CachedToken) -> bool:
        return self.row.is_current

    def replace(
        self,
        rejected: CachedToken,
        package: str,
        cause: str,
        answer: ApiAnswer | None = None,
        *,
        is_repeated: bool = True,
    ) -> Flight[CachedToken] | None:
        self.log.append(f"replace {rejected.token.access_token or 'nothing'}{'' if is_repeated else ' for later'}")
        given = self._replace.pop(0)
        self.causes.add(cause)
        return None if given is None else self._landed(given)

    def note_retry(self, cached: CachedToken, cause: str, *, accepted: bool) -> bool:
        self.causes.add(cause)
        self.log.append(f"{cached.token.access_token} {'accepted' if accepted else 'rejected again'}")
        return self.row.renews_retry and not accepted

    def _landed(self, given: str | BlnkAuthError) -> Flight[CachedToken]:
        """A flight that has ended, in a token or in an error."""

        def work() -> CachedToken:
            if isinstance(given, BlnkAuthError):
                raise given
            return self.tokens[given]

        flight: Flight[CachedToken] = Flight()
        flight.run(work, lambda: None)
        return flight


def names_invalid_token(answer: ApiAnswer) -> bool:
    return "invalid_token" in answer.headers.get("www-authenticate", "")


@dataclass(frozen=True)
class Row:
    """One path: the script, and what comes of it."""

    name: str
    sent: tuple[str | None, ...]
    """The value of the token's header in each attempt."""
    result: int | type[BlnkAuthError]
    """The status that the caller gets, or the error."""
    log: tuple[object, ...] = ()
    """What the credential was asked for, in order."""
    responses: tuple[Response, ...] = (OK,)
    fresh: str | None = "at1"
    ready: tuple[str | BlnkAuthError, ...] = ()
    """The flights to wait for; with `=` before it, a token that is there already."""
    replace: tuple[str | BlnkAuthError | None, ...] = ()
    judge: Callable[[ApiAnswer], bool] | BlnkAuthError = names_invalid_token
    reads_body: bool = False
    ended_status: int | None = None
    """The status by which the provider reports that the consent has ended."""
    ended_late: bool = False
    """Whether it does so only after a renewal that did not help."""
    newer: str | None = None
    """The token of a newer sign-in: in the store; with `=` before it, in memory."""
    raises: bool = False
    """Whether the user wants an error when a new sign-in is asked for."""
    signs_in: tuple[str | BlnkAuthError, ...] = ()
    """What each sign-in from inside the request brings; empty: no user is asked."""
    is_current: bool = True
    renews_retry: bool = False
    """Whether no rejection had led to the token of the repetition, so that it is renewed if it is rejected too."""
    is_static: bool = False
    is_replayable: bool = True
    url: str = URL
    own_headers: Mapping[str, str] = field(default_factory=dict)
    header_name: str = "Authorization"
    api_headers: Mapping[str, str] | BlnkAuthError = field(default_factory=dict)
    origins: tuple[str, ...] | None = None
    cause: str | None = "POST /accounts"
    """What a rejection is remembered by; None: each of two by another."""
    was_accepted: bool = True
    """Whether a first attempt that was not rejected shows that the API accepts the token."""
    also_sent: Mapping[str, str] = field(default_factory=dict)
    """Further headers of the last attempt."""
    proofs: tuple[str | None, ...] | None = None
    """The proof of each attempt; None: of a source whose tokens are sent without one."""
    is_bound: bool = True
    """Whether the tokens are bound to a key."""
    unprovable: BlnkAuthError | None = None
    """What happens when a proof is made."""
    nonce: str = "none"
    """The nonce that the next request will have."""

    def __str__(self) -> str:
        return self.name


B1, B2, B3 = "Bearer at1", "Bearer at2", "Bearer at3"
D1, D2 = "DPoP at1", "DPoP at2"
OWN_PROOF = {"DPoP": "of the user's own"}
RENEW = ("judge", "replace at1")
FOR_LATER = ("judge", "replace at1 for later")
OUTDATED = ("judge", "ready", "judge", "at2 rejected again", "replace at2 for later")
NOTHING_YET: Any = {"fresh": None, "ready": ("=none",)}
FIRST = ("ready", "judge", "replace nothing")
ASKED_FOR = ("at1 step_up", "reported", "sign in for at1")

ROWS = (
    # Attaching
    Row("a fresh token is attached, and nothing else is asked", (B1,), 200),
    Row("a token that is due for renewal is attached", (B1,), 200, ("ready",), fresh=None, ready=("=at1",)),
    Row("without a valid token the renewal is waited for", (B2,), 200, ("ready",), fresh=None, ready=("at2",)),
    Row("an outage is raised, nothing is sent", (), TemporarilyUnavailable, ("ready",), fresh=None, ready=(OUTAGE,)),
    Row("a sign-in is asked for, nothing is sent", (), SignInRequired, ("ready",), fresh=None, ready=(SIGN_IN,)),
    Row("another origin gets no token", (None,), 200, ("withheld: https://evil.test",), url=ELSEWHERE),
    Row("no renewal for another origin", (None,), 200, ("withheld: https://evil.test",), url=ELSEWHERE, fresh=None),
    Row("a 401 from another origin is returned", (None,), 401, ("withheld: https://evil.test",), (REJECTED,),
        url=ELSEWHERE),
    Row("a header of the user's own stays", ("Basic own",), 401, ("withheld: None",), (REJECTED,),
        own_headers={"authorization": "Basic own"}),
    Row("any https origin, where the provider says so", (B1,), 200, origins=("*",), url=ELSEWHERE),
    Row("a header of another name", (B1,), 200, header_name="X-Key"),
    Row("further headers are sent with the token", (B1,), 200, api_headers={"X-Customer": "7"},
        also_sent={"x-customer": "7"}),
    Row("further headers that cannot be made", (), ConfigurationError, api_headers=ConfigurationError("not callable")),
    # Judging
    Row("another status is returned unjudged", (B1,), 500, responses=(Response(500, EXPIRED),)),
    Row("a 403 is no rejection here, whatever its challenge says", (B1,), 403, responses=(Response(403, EXPIRED),)),
    Row("the body of a 403 is not read where nothing judges it", (B1,), 403, responses=(Response(403),),
        reads_body=True),
    Row("a 401 that no token resolves is returned", (B1,), 401, ("judge",),
        (Response(401, {"www-authenticate": "Basic"}),)),
    Row("a 401 for a fixed key is returned", (B1,), 401, (), (REJECTED,), is_static=True),
    Row("a 401 after a redirect to another origin is returned", (B1,), 401, (),
        (Response(401, EXPIRED, redirected_to=ELSEWHERE),)),
    Row("a judge that fails is raised", (B1,), ConfigurationError, ("judge",), (REJECTED,),
        judge=ConfigurationError("is_rejection raised KeyError")),
    Row("a judge sees the body and the path", (B1,), 401, (("judge", 401, "/accounts", b"expired"),), (REJECTED,),
        judge=lambda _: False, reads_body=True),
    Row("a judge of the body decides", (B1, B2), 200,
        (("judge", 401, "/accounts", b"expired"), "replace at1", "at2 accepted"), (REJECTED, OK), replace=("at2",),
        judge=lambda answer: answer.body == b"expired", reads_body=True),
    # Renewing and repeating
    Row("rejected, renewed, repeated", (B1, B2), 200, (*RENEW, "at2 accepted"), (REJECTED, OK), replace=("at2",)),
    Row("repeated with the further headers", (B1, B2), 200, (*RENEW, "at2 accepted"), (REJECTED, OK), replace=("at2",),
        api_headers={"X-Customer": "7"}, also_sent={"x-customer": "7"}),
    Row("rejected again: no third attempt", (B1, B2), 401, (*RENEW, "judge", "at2 rejected again"),
        (REJECTED, REJECTED), replace=("at2",)),
    Row("rejected again for another reason", (B1, B2), 401, (*RENEW, "judge"),
        (REJECTED, Response(401, {"www-authenticate": "Basic"})), replace=("at2",)),
    Row("the repetition ends elsewhere", (B1, B2), 401, RENEW,
        (REJECTED, Response(401, EXPIRED, redirected_to=ELSEWHERE)), replace=("at2",)),
    Row("the repetition fails otherwise", (B1, B2), 500, (*RENEW, "at2 accepted"), (REJECTED, Response(500)),
        replace=("at2",)),
    Row("an older token was rejected: repeated with the current one", (B1, B2), 200, ("judge", "ready", "at2 accepted"),
        (REJECTED, OK), is_current=False, ready=("=at2",)),
    Row("an older token was rejected, and the current one has expired", (B1, B3), 200,
        ("judge", "ready", "at3 accepted"), (REJECTED, OK), is_current=False, ready=("at3",)),
    Row("an older token was rejected, and the grant has ended", (B1,), SignInRequired, ("judge", "ready"), (REJECTED,),
        is_current=False, ready=(SIGN_IN,)),
    Row("an older token was rejected, with a body that cannot be repeated", (B1,), 401, ("judge",), (REJECTED,),
        is_current=False, is_replayable=False),
    Row("the current one is rejected too: renewed for later requests", (B1, B2), 401, OUTDATED, (REJECTED, REJECTED),
        is_current=False, ready=("=at2",), renews_retry=True, replace=("at3",)),
    Row("the current one is rejected too, and an outage", (B1, B2), 401, OUTDATED, (REJECTED, REJECTED),
        is_current=False, ready=("=at2",), renews_retry=True, replace=(OUTAGE,)),
    Row("the current one is rejected too, since a stronger sign-in is asked for: not renewed", (B1, B2), 401,
        ("judge", "ready", "at2 step_up", "judge", "at2 rejected again", "reported"), (REJECTED, STEP_UP),
        is_current=False, ready=("=at2",), renews_retry=True, judge=lambda _: True),
    Row("a body that cannot be repeated: renewed for the next request", (B1,), 401, FOR_LATER, (REJECTED,),
        replace=("at2",), is_replayable=False),
    Row("a body that cannot be repeated, and an outage", (B1,), 401, FOR_LATER, (REJECTED,), replace=(OUTAGE,),
        is_replayable=False),
    Row("renewals have resolved nothing lately", (B1,), 401, RENEW, (REJECTED,), replace=(None,)),
    Row("the renewal fails", (B1,), TemporarilyUnavailable, RENEW, (REJECTED,), replace=(OUTAGE,)),
    Row("the grant has ended", (B1,), SignInRequired, RENEW, (REJECTED,), replace=(SIGN_IN,)),
    Row("a failed renewal in the background was joined: renewed once more", (B1, B2), 200,
        (*RENEW, "replace at1", "at2 accepted"), (REJECTED, OK), replace=("at1", "at2")),
    Row("twice no newer token", (B1,), 401, (*RENEW, "replace at1"), (REJECTED,), replace=("at1", "at1")),
    Row("a 401 after a redirect within the origin is repeated there", (B1, B2), 200, (*RENEW, "at2 accepted"),
        (Response(401, EXPIRED, redirected_to=f"{API}/new"), OK), replace=("at2",), cause="POST /new"),
    Row("a challenge that names its cause", (B1, B2), 200, (*RENEW, "at2 accepted"),
        (Response(401, {"www-authenticate": 'Bearer error="invalid_token", scope="admin"'}), OK), replace=("at2",),
        cause="challenge: bearer error=invalid_token scope=admin"),
    # Beginning without a token
    Row("without a token, then with the first one", (None, B1), 200, FIRST, (REJECTED, OK), **NOTHING_YET,
        replace=("at1",)),
    Row("the first token has ended meanwhile: renewed, and sent a third time", (None, B1, B2), 200,
        (*FIRST, *RENEW, "at2 accepted"), (REJECTED, REJECTED, OK), **NOTHING_YET, replace=("at1", "at2")),
    Row("rejected three times: no fourth attempt", (None, B1, B2), 401,
        (*FIRST, *RENEW, "judge", "at2 rejected again"), (REJECTED, REJECTED, REJECTED), **NOTHING_YET,
        replace=("at1", "at2")),
    Row("the first token has ended, and so has the grant", (None, B1), SignInRequired, (*FIRST, *RENEW),
        (REJECTED, REJECTED), **NOTHING_YET, replace=("at1", SIGN_IN)),
    Row("the first token gives too little, and a user signs in again", (None, B1, B2), 200,
        (*FIRST, *ASKED_FOR, "at2 accepted"), (REJECTED, SCOPE, OK), **NOTHING_YET, replace=("at1",), raises=True,
        signs_in=("at2",), cause=None),
    Row("without a token, and nothing was learned", (None,), 401, FIRST, (REJECTED,), **NOTHING_YET, replace=(None,)),
    # Asking for a new sign-in
    Row("more scope is asked for: reported, and nothing is renewed", (B1,), 403, ("at1 step_up", "reported"), (SCOPE,)),
    Row("a stronger sign-in is asked for", (B1,), 401, ("at1 step_up", "reported"), (STEP_UP,)),
    Row("a consent has ended", (B1,), 403, ("at1 consent_ended", "reported"), (Response(403),), ended_status=403),
    Row("a consent has ended, by a status that may be a rejection", (B1,), 401, ("at1 consent_ended", "reported"),
        (REJECTED,), ended_status=401),
    Row("raised in place of the response", (B1,), SignInRequired, ("at1 step_up", "reported"), (SCOPE,), raises=True),
    Row("a consent has ended, raised", (B1,), SignInRequired, ("at1 consent_ended", "reported"), (REJECTED,),
        ended_status=401, raises=True),
    Row("a newer sign-in is in the store: repeated with it", (B1, B2), 200, ("at1 step_up", "at2 accepted"),
        (SCOPE, OK), newer="at2", cause=ASKED),
    Row("a newer sign-in is in memory: repeated with it", (B1, B2), 200, ("at1 step_up", "at2 accepted"),
        (SCOPE, OK), newer="=at2", raises=True, cause=ASKED),
    Row("the newer sign-in gives too little as well", (B1, B2), 403,
        ("at1 step_up", "at2 accepted", "at2 step_up", "reported"), (SCOPE, SCOPE), newer="at2", cause=ASKED),
    Row("the newer sign-in gives too little as well, raised", (B1, B2), SignInRequired,
        ("at1 step_up", "at2 accepted", "at2 step_up", "reported"), (SCOPE, SCOPE), newer="at2", raises=True,
        cause=ASKED),
    Row("a newer sign-in, and a body that cannot be repeated", (B1,), 403, ("at1 step_up",), (SCOPE,), newer="at2",
        is_replayable=False, raises=True),
    Row("renewed, and then more scope is asked for", (B1, B2), 403,
        (*RENEW, "at2 accepted", "at2 step_up", "reported"), (REJECTED, SCOPE), replace=("at2",)),
    Row("renewed, and then a stronger sign-in is asked for", (B1, B2), SignInRequired,
        (*RENEW, "at2 step_up", "judge", "reported"), (REJECTED, STEP_UP), replace=("at2",), raises=True),
    Row("a consent that a renewal shows to have ended", (B1, B2), 401,
        (*RENEW, "at2 consent_ended", "judge", "at2 rejected again", "reported"), (REJECTED, REJECTED),
        replace=("at2",), ended_status=401, ended_late=True),
    Row("the same while renewals do not help", (B1,), SignInRequired, (*RENEW, "at1 consent_ended", "reported"),
        (REJECTED,), replace=(None,), ended_status=401, ended_late=True, raises=True),
    # A user who signs in again from inside the request
    Row("a user signs in for more scope: repeated", (B1, B2), 200, (*ASKED_FOR, "at2 accepted"), (SCOPE, OK),
        raises=True, signs_in=("at2",), cause=ASKED),
    Row("a user signs in again, and more strongly: repeated", (B1, B2), 200, (*ASKED_FOR, "at2 accepted"),
        (STEP_UP, OK), raises=True, signs_in=("at2",), cause=None),
    Row("a user does not sign in", (B1,), SignInRequired, ASKED_FOR, (SCOPE,), raises=True, signs_in=(SIGN_IN,)),
    Row("nobody is asked because of a body that cannot be repeated", (B1,), SignInRequired,
        ("at1 step_up", "reported"), (SCOPE,), raises=True, signs_in=("at2",), is_replayable=False),
    Row("nobody is asked where the response is wanted", (B1,), 403, ("at1 step_up", "reported"), (SCOPE,),
        signs_in=("at2",)),
    Row("a sign-in that gives too little: nobody is asked again", (B1, B2), SignInRequired,
        (*ASKED_FOR, "at2 accepted", "at2 step_up", "reported"), (SCOPE, SCOPE), raises=True, signs_in=("at2", "at3"),
        cause=ASKED),
    Row("renewed, and then a user signs in for more scope", (B1, B2, B3), 200,
        (*RENEW, "at2 accepted", "at2 step_up", "reported", "sign in for at2", "at3 accepted"), (REJECTED, SCOPE, OK),
        replace=("at2",), raises=True, signs_in=("at3",), cause=None),
    Row("renewed, and then a user does not sign in", (B1, B2), SignInRequired,
        (*RENEW, "at2 accepted", "at2 step_up", "reported", "sign in for at2"), (REJECTED, SCOPE),
        replace=("at2",), raises=True, signs_in=(SIGN_IN,)),
    Row("renewed, signed in, and too little all the same", (B1, B2, B3), SignInRequired,
        (*RENEW, "at2 accepted", "at2 step_up", "reported", "sign in for at2", "at3 accepted", "at3 step_up",
         "reported"), (REJECTED, SCOPE, SCOPE), replace=("at2",), raises=True, signs_in=("at3", "at1"), cause=None),
    Row("a newer sign-in gives too little, and a user signs in", (B1, B2, B3), 200,
        ("at1 step_up", "at2 accepted", "at2 step_up", "reported", "sign in for at2", "at3 accepted"),
        (SCOPE, SCOPE, OK), newer="at2", raises=True, signs_in=("at3",), cause=ASKED),
    Row("signed in, and then the token is rejected", (B1, B2), 401,
        (*ASKED_FOR, "judge", "at2 rejected again"), (SCOPE, REJECTED), raises=True, signs_in=("at2",), cause=ASKED),
    Row("another origin asks for more scope", (None,), 403, ("withheld: https://evil.test",), (SCOPE,), url=ELSEWHERE),
    Row("more scope is asked for after a redirect to another origin", (B1,), 403, (),
        (Response(403, SCOPE.headers, redirected_to=ELSEWHERE),), was_accepted=False),
    Row("more scope is asked for with a fixed key", (B1,), 403, (), (SCOPE,), is_static=True),
    Row("accepted after a redirect within the origin", (B1,), 200, responses=(Response(redirected_to=f"{API}/new"),)),
    Row("what another origin answers shows nothing", (B1,), 200, responses=(Response(redirected_to=ELSEWHERE),),
        was_accepted=False),
    # Attaching a proof
    Row("a bound token is sent with a proof", (D1,), 200, proofs=("1: POST /accounts at1 none",)),
    Row("a proof is made once the token is there", (D2,), 200, ("ready",), fresh=None, ready=("at2",),
        proofs=("1: POST /accounts at2 none",)),
    Row("a token that is not bound yet is sent without", (B1,), 200, proofs=(None,), is_bound=False),
    Row("a proof beside further headers", (D1,), 200, proofs=("1: POST /accounts at1 none",),
        api_headers={"X-Customer": "7"}, also_sent={"x-customer": "7"}),
    Row("another origin gets no proof", (None,), 200, ("withheld: https://evil.test",), url=ELSEWHERE, proofs=(None,)),
    Row("a key that cannot sign", (), ConfigurationError, proofs=(), unprovable=ConfigurationError("the key is gone")),
    Row("a proof of the user's own is refused", (), ConfigurationError, proofs=(), own_headers=OWN_PROOF),
    Row("it stays where the token is the user's own too", ("DPoP own",), 200, ("withheld: None",),
        proofs=("of the user's own",), own_headers={"Authorization": "DPoP own", **OWN_PROOF}),
    Row("it stays at another origin", (None,), 200, ("withheld: https://evil.test",), url=ELSEWHERE,
        proofs=("of the user's own",), own_headers=OWN_PROOF),
    Row("it stays where no proofs are made", (B1,), 200, own_headers=OWN_PROOF,
        also_sent={"dpop": "of the user's own"}),
    # Nonces that the API asks for
    Row("the nonce of a success is kept", (D1,), 200, responses=(Response(headers={"dpop-nonce": "n1"}),),
        proofs=("1: POST /accounts at1 none",), nonce="n1"),
    Row("a nonce is asked for: one more attempt, with the same token", (D1, D1), 200, (), (asks_for("n1"), OK),
        proofs=("1: POST /accounts at1 none", "2: POST /accounts at1 n1"), nonce="n1"),
    Row("asked for a nonce without end", (D1, D1), 401, (), (asks_for("n1"), asks_for("n2")),
        proofs=("1: POST /accounts at1 none", "2: POST /accounts at1 n1"), nonce="n2"),
    Row("asked for a nonce that does not come", (D1,), 401, (), (asks_for(None),),
        proofs=("1: POST /accounts at1 none",)),
    Row("asked for a nonce, with a body that cannot be repeated", (D1,), 401, (), (asks_for("n1"),),
        proofs=("1: POST /accounts at1 none",), nonce="n1", is_replayable=False),
    Row("asked for a nonce by another origin", (D1,), 401, (),
        (Response(401, asks_for("evil").headers, redirected_to=ELSEWHERE),), proofs=("1: POST /accounts at1 none",)),
    Row("a token that is not bound yet, and a nonce", (B1,), 401, ("judge",), (asks_for("n1"),), proofs=(None,),
        nonce="n1", is_bound=False),
    Row("a judge that takes every 401 is not asked about a nonce", (D1, D1), 401, (), (asks_for("n1"), asks_for("n2")),
        proofs=("1: POST /accounts at1 none", "2: POST /accounts at1 n1"), nonce="n2", judge=lambda _: True),
    Row("a proof that is not accepted is no rejection of the token", (D1,), 401, (),
        (Response(401, {"www-authenticate": 'DPoP error="invalid_dpop_proof"'}),),
        proofs=("1: POST /accounts at1 none",), judge=lambda _: True),
    # At most three attempts
    Row("rejected, renewed, repeated with a proof for the new token", (D1, D2), 200, (*RENEW, "at2 accepted"),
        (DPOP_EXPIRED, OK), replace=("at2",), nonce="late",
        proofs=("1: POST /accounts at1 none", "2: POST /accounts at2 late")),
    Row("a nonce, then a token", (D1, D1, D2), 200, (*RENEW, "at2 accepted"), (asks_for("n1"), DPOP_EXPIRED, OK),
        replace=("at2",), nonce="late",
        proofs=("1: POST /accounts at1 none", "2: POST /accounts at1 n1", "3: POST /accounts at2 late")),
    Row("a token, then a nonce", (D1, D2, D2), 200, (*RENEW, "at2 accepted"), (DPOP_EXPIRED, asks_for("n1"), OK),
        replace=("at2",), nonce="n1",
        proofs=("1: POST /accounts at1 none", "2: POST /accounts at2 late", "3: POST /accounts at2 n1")),
    Row("a nonce, a token, and no fourth attempt", (D1, D1, D2), 401, RENEW,
        (asks_for("n1"), DPOP_EXPIRED, asks_for("n2")), replace=("at2",), nonce="n2",
        proofs=("1: POST /accounts at1 none", "2: POST /accounts at1 n1", "3: POST /accounts at2 late")),
    Row("a token, a nonce, and no fourth attempt", (D1, D2, D2), 401, (*RENEW, "judge", "at2 rejected again"),
        (DPOP_EXPIRED, asks_for("n1"), DPOP_EXPIRED), replace=("at2",), nonce="late",
        proofs=("1: POST /accounts at1 none", "2: POST /accounts at2 late", "3: POST /accounts at2 n1")),
    Row("rejected again without a nonce", (D1, D2), 401, (*RENEW, "judge", "at2 rejected again"),
        (DPOP_EXPIRED, DPOP_EXPIRED), replace=("at2",), nonce="late",
        proofs=("1: POST /accounts at1 none", "2: POST /accounts at2 late")),
    Row("a nonce, and the renewal fails", (D1, D1), TemporarilyUnavailable, RENEW, (asks_for("n1"), DPOP_EXPIRED),
        replace=(OUTAGE,), nonce="late", proofs=("1: POST /accounts at1 none", "2: POST /accounts at1 n1")),
    Row("a bound token, and a body that cannot be repeated", (D1,), 401, FOR_LATER, (DPOP_EXPIRED,), replace=("at2",),
        is_replayable=False, nonce="late", proofs=("1: POST /accounts at1 none",)),
    # Redirects, which take the proof
    Row("a redirect within the origin has taken the proof", (D1, D1), 200, (),
        (Response(401, redirected_to=f"{API}/new"), OK),
        proofs=("1: POST /accounts at1 none", "2: POST /new at1 none")),
    Row("it shows nothing about the token", (D1, D1, D2), 200, (*RENEW, "at2 accepted"),
        (Response(401, EXPIRED, redirected_to=f"{API}/new"), DPOP_EXPIRED, OK), replace=("at2",), cause="POST /new",
        nonce="late", proofs=("1: POST /accounts at1 none", "2: POST /new at1 none", "3: POST /new at2 late")),
    Row("redirected twice", (D1, D1), 401, (),
        (Response(401, EXPIRED, redirected_to=f"{API}/new"), Response(401, EXPIRED, redirected_to=f"{API}/newer")),
        proofs=("1: POST /accounts at1 none", "2: POST /new at1 none")),
    Row("a nonce, and then a redirect within the origin", (D1, D1, D1), 200, (),
        (asks_for("n1"), Response(401, EXPIRED, redirected_to=f"{API}/new"), OK), nonce="n1",
        proofs=("1: POST /accounts at1 none", "2: POST /accounts at1 n1", "3: POST /new at1 n1")),
    Row("a redirect, a nonce, and no fourth time", (D1, D1, D1), 401, FOR_LATER,
        (Response(401, EXPIRED, redirected_to=f"{API}/new"), asks_for("n1"), DPOP_EXPIRED), nonce="late",
        replace=("at2",), cause="POST /new",
        proofs=("1: POST /accounts at1 none", "2: POST /new at1 none", "3: POST /new at1 n1")),
    Row("a nonce after a redirect within the origin", (D1, D1), 200, (),
        (Response(401, asks_for("n1").headers, redirected_to=f"{API}/new"), OK), nonce="n1",
        proofs=("1: POST /accounts at1 none", "2: POST /new at1 n1")),
)  # fmt: skip


@dataclass
class Exchange:
    """What was sent, and what came of it."""

    sent: list[dict[str, str]]
    status: int = 0
    body: bytes = b""


Driver = Callable[[Row, Source], Exchange]


def through_httpx(package: Any, auth_class: Any) -> Driver:
    def drive(row: Row, source: Source) -> Exchange:
        exchange, pending = Exchange([]), list(row.responses)
        request = httpx_request(package, row)
        flow = auth_class(source).sync_auth_flow(request)
        request = next(flow)
        while True:
            response = httpx_response(package, request, pending.pop(0), exchange)
            try:
                request = flow.send(response)
            except StopIteration:
                return exchange

    return drive


def through_async_httpx(package: Any, auth_class: Any) -> Driver:
    def drive(row: Row, source: Source) -> Exchange:
        exchange, pending = Exchange([]), list(row.responses)
        flow = auth_class(source).async_auth_flow(httpx_request(package, row))
        request = without_waiting(flow.__anext__())
        while True:
            response = httpx_response(package, request, pending.pop(0), exchange)
            try:
                request = without_waiting(flow.asend(response))
            except StopAsyncIteration:
                return exchange

    return drive


def without_waiting(awaitable: Any) -> Any:
    """The result of something that is ready: all flights of a script have landed, so no event loop is needed."""
    try:
        awaitable.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the flow waits for something")


def httpx_request(package: Any, row: Row) -> Any:
    content = b"{}" if row.is_replayable else iter([b"{}"])
    return package.Request("POST", row.url, headers=row.own_headers, content=content)


def httpx_response(package: Any, request: Any, given: Response, exchange: Exchange) -> Any:
    exchange.sent.append(dict(request.headers.multi_items()))
    exchange.status, exchange.body = given.status, given.body
    if given.redirected_to is not None:
        # As the client does it: a copy of the headers, without Authorization where another origin follows.
        headers = package.Headers(request.headers)
        if not given.redirected_to.startswith(API):
            headers.pop("Authorization", None)
        request = package.Request("POST", given.redirected_to, headers=headers, content=request.content)
    stream = package.ByteStream(given.body)
    return package.Response(given.status, headers=given.headers, stream=stream, request=request)


class ScriptedAdapter:
    """What sends a request in requests."""

    def __init__(self, responses: tuple[Response, ...]) -> None:
        self.exchange = Exchange([])
        self._pending = list(responses)

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        given = self._pending.pop(0)
        self.exchange.sent.append({name.lower(): str(value) for name, value in request.headers.items()})
        self.exchange.status, self.exchange.body = given.status, given.body
        if given.redirected_to is not None:
            request = request.copy()
            request.url = given.redirected_to
            if not given.redirected_to.startswith(API):
                request.headers.pop("Authorization", None)
        response = requests.Response()
        response.status_code, response.request, response.url = given.status, request, request.url or ""
        response.headers.update(given.headers)
        response._content, response._content_consumed = given.body, True
        response.connection = self  # type: ignore[attr-defined]  # as the adapters of requests do
        return response


def through_requests(row: Row, source: Source) -> Exchange:
    data = "{}" if row.is_replayable else iter([b"{}"])
    prepared = requests.Request("POST", row.url, headers=dict(row.own_headers), data=data).prepare()
    adapter = ScriptedAdapter(row.responses)
    RequestsAuth(source)(prepared)
    response = adapter.send(prepared)
    for hook in prepared.hooks["response"]:
        # A response is false where its status is an error.
        replaced = hook(response)
        response = response if replaced is None else replaced
    adapter.exchange.status = response.status_code
    return adapter.exchange


DRIVERS: dict[str, Driver] = {
    "requests": through_requests,
    "httpx": through_httpx(httpx, HttpxAuth),
    "httpx-async": through_async_httpx(httpx, HttpxAuth),
    "httpx2": through_httpx(httpx2, Httpx2Auth),
    "httpx2-async": through_async_httpx(httpx2, Httpx2Auth),
}
REQUEST_ERRORS = {"requests": requests.RequestException, "httpx": httpx.RequestError, "httpx2": httpx2.RequestError}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_request_takes_the_path_of_its_row(row: Row, driver: str) -> None:
    """Through each auth class: what is sent, what the credential is asked for, and what the caller gets."""
    source = Scripted(row)
    if isinstance(row.result, int):
        exchange = DRIVERS[driver](row, source)
        name = row.header_name.lower()
        assert tuple(sent.get(name) for sent in exchange.sent) == row.sent
        assert exchange.status == row.result
        assert_proofs(row, source, exchange)
        assert row.also_sent.items() <= (exchange.sent[-1] if row.also_sent else {}).items()
    else:
        with pytest.raises(row.result) as caught:
            DRIVERS[driver](row, source)
        assert isinstance(caught.value, REQUEST_ERRORS[driver.removesuffix("-async")])
        assert caught.value.request.url  # type: ignore[attr-defined]
    assert tuple(source.log) == row.log
    assert row.cause is None or source.causes <= {row.cause}
    if len(row.responses) == 1 and row.sent == (B1,) and row.header_name == "Authorization":
        assert source.tokens["at1"].was_accepted is (row.was_accepted and row.responses[0].status != 401)
    assert not source._replace
    assert not source._ready


def assert_proofs(row: Row, source: Scripted, exchange: Exchange) -> None:
    """Each attempt has a proof of its own, and the newest nonce is kept."""
    if source.proofs is not None:
        assert tuple(sent.get("dpop") for sent in exchange.sent) == row.proofs
        assert source.proofs.nonce == row.nonce
        assert source.proofs.made == len([proof for proof in row.proofs or () if proof and proof[0].isdigit()])


def test_no_two_rows_have_the_same_name() -> None:
    """A row is found by its name."""
    assert len({row.name for row in ROWS}) == len(ROWS)
