"""A simulated process: the real `CurrentToken` and `Renewal`, stopped before every call to the outside world.

The renewal is plain blocking code, so what it does next follows from what it had in memory when its call began and
from what the outside world has answered since. A `Moment` is such a history. To learn what comes after it, the real
code is run once more on ports that answer from the history, and stop it at the first call beyond. The result is kept,
so each history costs one run for any number of schedules. No thread, no greenlet, no clock of the machine.

What a moment cannot see (other processes, the server, when and in which order things happen) is world.py.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, NamedTuple, NoReturn, cast
from urllib.parse import parse_qs

from blnk_auth._protocol.client_authentication import ClientCredentials
from blnk_auth._protocol.dpop import DPOP, ServerNonces
from blnk_auth._protocol.dpop_key import DpopKey
from blnk_auth._protocol.http_messages import Call, HttpRequest, HttpResponse, NoResponse, Package
from blnk_auth._protocol.requests import build_code_exchange
from blnk_auth._renewal.authorization_grants import RefreshTokenGrant
from blnk_auth._renewal.cached_token import CachedToken
from blnk_auth._renewal.client_state import ClientState
from blnk_auth._renewal.current_token import CurrentToken
from blnk_auth._renewal.failure import Failure
from blnk_auth._renewal.ports import Ports
from blnk_auth._renewal.proofs import Binding, DpopSetting, Proofs
from blnk_auth._renewal.renewal import Renewal
from blnk_auth._renewal.single_flight import Flight
from blnk_auth._renewal.sources import Sources
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth._request.after_rejection import ApiRejection, judge_retry, retry_after_rejection
from blnk_auth._request.attempts import Attempts
from blnk_auth._request.before_sending import token_to_send
from blnk_auth._request.blocking_and_async import FlightWait as WaitForFlight
from blnk_auth._request.blocking_and_async import run
from blnk_auth._transport.network import Network
from blnk_auth.errors import BlnkAuthError, Conflict, StoreError
from blnk_auth.policy import RenewalPolicy
from blnk_auth.provider import Provider
from blnk_auth.stores._token_store import Record, Version, from_json, to_json
from blnk_auth.token import Token

LIFETIME = 100
"""Seconds for which an access token is good."""

# No cool-down: here every call may try again immediately, which is the harder case.
POLICY = RenewalPolicy(cooldown=0.0, lost_answer_retries=0)
REPEATING = RenewalPolicy(cooldown=0.0, lost_answer_retries=1)
COOLING_DOWN = RenewalPolicy(cooldown=1000.0, max_cooldown=1000.0, lost_answer_retries=0)
PROVIDER = Provider(name="sim", token_endpoint="https://as.test/token", api_origins=("https://api.test",))
CREDENTIALS = ClientCredentials("client", "secret", "client_secret_post")
SUBJECT = "alice"
EXCHANGE = build_code_exchange(
    PROVIDER,
    CREDENTIALS,
    code="a-code",
    redirect_uri="https://app.test/callback",
    code_verifier=None,
    call=Call("authorization_code", SUBJECT),
    now=0.0,
)


# --- what a process and the world exchange ----------------------------------------------------------------------------


class Wish(NamedTuple):
    """A port call that a process is about to make.

    `save`: text, expected version. `send`: generation presented. `api`: generation of the access token.
    """

    what: str
    text: str = ""
    number: int = -1
    key: int = -1
    """The DPoP key that signed the proof; -1: there is no proof."""

    nonce: int = -1
    """The nonce in the proof; -1: there is none."""


class Seen(NamedTuple):
    """What came of a wish, and the time when the process went on. `what`: `done` or a kind of failure."""

    what: str
    now: int
    text: str = ""
    number: int = -1
    elapsed: int = 0
    """Seconds for which the process was suspended since the call began."""

    nonce: int = -1
    """The nonce that the server's response has; -1: it has none."""


BEGIN = Wish("begin")
TOKEN, REJECTED, REVOKED, PROVED, SIGN_IN = "token", "rejected", "revoked", "proved", "sign in"
"""What a caller may want. The names, in this order:

A valid token. Another one than generation 0, which the API has rejected. A request to an API that rejects every token
issued before the call began. The same, with an API that also wants its nonce in each proof. A new grant.
"""


def pair_of(generation: int, token_type: str = "Bearer") -> dict[str, Any]:
    """The token endpoint's answer that issues a generation."""
    names = {"access_token": f"access-{generation}", "refresh_token": f"refresh-{generation}"}
    return {**names, "token_type": token_type, "expires_in": LIFETIME}


def generation_of(token: Token) -> int:
    """Which of the server's pairs this is, by its access token."""
    return int(token.access_token.removeprefix("access-"))


def first_record(key: int = -1) -> str:
    """The text of a stored grant of generation 0, issued at time 0. `key`: what it is bound to; -1: it is not bound."""
    issued = pair_of(0) if key < 0 else pair_of(0, DPOP)
    token = Token.from_response(issued, now=0.0)
    return to_json(GrantRecord.signed_in(token, None if key < 0 else simulated_key(key)).to_data())


def simulated_key(number: int) -> DpopKey:
    """A DPoP key of which everything is real except its signatures, since a real one takes longer than a renewal."""
    return _signing({"kty": "EC", "crv": "P-256", "alg": "ES256", "x": f"key-{number}", "y": "y", "d": "d"})


def _signing(jwk: Mapping[str, Any]) -> DpopKey:
    return DpopKey("ES256", jwk, jwk=jwk, sign=_sign)


def _sign(message: bytes) -> bytes:
    return b"signature"


def number_of_key(key: Mapping[str, Any]) -> int:
    """Which of the simulated keys a JWK is."""
    return int(key["x"].removeprefix("key-"))


def _part_of(proof: str, part: int) -> Mapping[str, Any]:
    encoded = proof.split(".")[part]
    return cast("Mapping[str, Any]", json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))))


def read_proof(request: HttpRequest) -> tuple[int, int]:
    """The key and the nonce of the proof that a request has; -1 for each that it has not."""
    proof = request.headers.get(DPOP)
    if proof is None:
        return -1, -1
    claims = _part_of(proof, 1)
    assert (claims["htm"], claims["htu"]) == (request.method, request.url), "the proof is for another request"
    nonce = claims.get("nonce")
    return number_of_key(_part_of(proof, 0)["jwk"]), -1 if nonce is None else int(nonce.removeprefix("nonce-"))


# --- one run of the real code ----------------------------------------------------------------------------------------


class Suspended(BaseException):
    """The history is used up. What the code under test makes of it is thrown away."""


class CallerCancelled(BaseException):
    """Reaches the renewal only in a mutation: as built, it runs where no caller's cancellation reaches it."""


class Script:
    """The outside world of one run: a store, a token endpoint and a clock that answer from a history."""

    def __init__(self, history: tuple[Seen, ...]) -> None:
        self._history = iter(history)
        self.wish: Wish | None = None
        self.now = self.elapsed = 0

    def call(self, wish: Wish) -> Seen:
        if self.wish is None:
            seen = next(self._history, None)
            if seen is not None:
                self.now, self.elapsed = seen.now, seen.elapsed
                return seen
            self.wish = wish
        # Also for what the unwinding code calls, which would be taken for a wish otherwise.
        raise Suspended

    def load(self, key: str) -> Record | None:
        seen = self.call(Wish("load"))
        if seen.what != "done":
            _fail(seen, RuntimeError("a bug in the store"))
        data = from_json(seen.text)
        return None if data is None else Record(data, str(seen.number))

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        seen = self.call(Wish("save", to_json(data), -1 if expected is None else int(expected)))
        if seen.what == "conflict":
            raise Conflict("somebody else wrote")
        if seen.what != "done":
            _fail(seen, OSError(28, "No space left on device"))
        return str(seen.number)

    def delete(self, key: str) -> None:
        self.call(Wish("delete"))

    def keys(self, prefix: str = "") -> Iterator[str]:
        raise NotImplementedError("a renewal lists no keys")

    @contextmanager
    def lock(self, key: str, *, timeout: float) -> Generator[None]:
        seen = self.call(Wish("lock"))
        if seen.what != "done":
            _fail(seen, StoreError("the lock was not had in time"))
        try:
            yield
        finally:
            seen = self.call(Wish("unlock"))
            if seen.what != "done":
                _fail(seen, RuntimeError("a bug in the lock"))

    def send(self, request: HttpRequest, *, seconds: float | None = None) -> HttpResponse:
        form = parse_qs(request.body.decode())
        key, nonce = read_proof(request)
        if form["grant_type"] == ["authorization_code"]:
            wish = Wish("exchange", key=key, nonce=nonce)
        else:
            presented = form["refresh_token"][0]
            wish = Wish("send", number=int(presented.removeprefix("refresh-")), key=key, nonce=nonce)
        seen = self.call(wish)
        if seen.what in ("not sent", "lost"):
            raise NoResponse("timed out", sent=seen.what == "lost")
        if seen.what == "cancelled":
            raise CallerCancelled
        issued = pair_of(seen.number, "Bearer" if key < 0 else DPOP)
        body = issued if seen.what == "done" else {"error": seen.text}
        status = {"done": 200, "refused": 400, "busy": 503}[seen.what]
        return HttpResponse(status, _nonce_header(seen), json.dumps(body).encode())

    def wait(self, seconds: float) -> None:
        self.call(Wish("wait"))


def _fail(seen: Seen, failure: Exception) -> NoReturn:
    raise CallerCancelled if seen.what == "cancelled" else failure


class InlineFlights:
    """Work is done immediately, on this very stack: threads and joining are tested with the flights."""

    def under_way(self, key: Hashable) -> None:
        """None: everything that began has ended."""

    def join_or_start(
        self, key: Hashable, work: Callable[[], CachedToken], afterwards: Callable[[], object], **kind: bool
    ) -> Flight[CachedToken]:
        flight: Flight[CachedToken] = Flight()
        flight.run(work, afterwards)
        return flight


class _NothingKept(Sources):
    """What a process remembers is kept as a `Memory`."""

    def keep(self, current: object, *, kept: bool) -> None:
        """Nothing."""


class SimulatedProofs(Proofs):
    """The real object, with keys that the world numbers and that sign nothing."""

    def __init__(self, setting: DpopSetting, make_key: Callable[[], int]) -> None:
        super().__init__(setting)
        self._make_key = make_key

    def new_key(self) -> DpopKey | None:
        return simulated_key(self._make_key()) if self.are_wanted else None

    def key_of(self, binding: Binding, whose: str) -> DpopKey | None:
        key = super().key_of(binding, whose)
        jwk = None if key is None else key.to_private_jwk()
        return key if jwk is None else _signing(jwk)


class ScriptedState(ClientState):
    """The real state, whose outside world is a script."""

    script: Script

    def __init__(self, policy: RenewalPolicy, dpop: DpopSetting = None) -> None:
        super().__init__(
            provider=PROVIDER,
            credentials=CREDENTIALS,
            redirect_uri=None,
            store=Script(()),
            policy=policy,
            network=Network(policy),
            on_event=None,
            clock=lambda: float(self.script.now),
            dpop=dpop,
        )
        self.proofs = SimulatedProofs(dpop, lambda: self.script.call(Wish("key")).number)
        if dpop is not None:
            self.rules.proof = self.proofs
        self.flights = InlineFlights()  # type: ignore[assignment]  # of the methods that a source uses
        self.sources = _NothingKept()

    def ports(self, package: Package | None) -> Ports:
        return Ports(
            store=self.script,
            transport=self.script,
            clock=self.clock,
            monotonic=lambda: float(self.script.elapsed),
            wait=self.script.wait,
            jitter_position=lambda: 0.5,
            policy=self.policy,
            proofs=self.proofs,
        )


class SimulatedToken(CurrentToken):
    """The real object. A mutation may put another renewal in the place of the real one."""

    __slots__ = ()
    renewal_type: type[Renewal] = Renewal
    attempts_type: type[Attempts] = Attempts

    def renewal(self, package: Package | None = None, **more: Any) -> Renewal:
        real = super().renewal(package, **more)
        return self.renewal_type(key=real.stored.key, grant=real.grant, ports=real.ports, attempt=real.attempt)


# --- the histories ---------------------------------------------------------------------------------------------------


class RememberedNonces(ServerNonces):
    """The real object, which can be made as it was."""

    def __init__(self, known: tuple[tuple[str, Any], ...]) -> None:
        super().__init__()
        self._known.update(known)

    @property
    def known(self) -> tuple[tuple[str, Any], ...]:
        return tuple(self._known.items())


Memory = dict[str, Any]
"""What a process remembers between two calls: the attributes of its `CurrentToken` that change, and the nonces."""

_NONCES = "nonces"

_UNCHANGING = {"state", "_key", "_clock"}
_REMEMBERED = tuple(name for name in CurrentToken.__slots__ if name not in _UNCHANGING)


@dataclass(eq=False, slots=True)
class Moment:
    """A process at one moment: before the port call it wishes to make, or between two calls of its callers."""

    serial: int
    wish: Wish
    memory: Memory
    """As it was when the call under way began."""

    call: str = ""
    history: tuple[Seen, ...] = ()
    then: dict[Seen, FlightWait | Moment] = field(default_factory=dict[Seen, "FlightWait | Moment"])

    @property
    def cached(self) -> CachedToken | None:
        cached = self.memory["cached"]
        assert cached is None or isinstance(cached, CachedToken)
        return cached

    @property
    def failure(self) -> Failure | None:
        failure = self.memory["_failure"]
        assert failure is None or isinstance(failure, Failure)
        return failure


@dataclass(frozen=True, slots=True)
class FlightWait:
    """The end of a call: what its caller gets, and the process at rest."""

    result: Token | BaseException
    rest: Moment


class Processes:
    """All histories of one kind of process."""

    def __init__(self, token_type: type[SimulatedToken], policy: RenewalPolicy, dpop: DpopSetting = None) -> None:
        self._token_type = token_type
        self._state = ScriptedState(policy, dpop)
        self._at_rest: dict[Hashable, Moment] = {}
        self.runs = 0
        self._moments = 0
        self.newborn = self._rest({**dict.fromkeys(_REMEMBERED), "_epoch": 0, _NONCES: ()})

    def go_on(self, moment: Moment, seen: Seen, call: str) -> FlightWait | Moment:
        """What follows when `moment`'s wish is answered by `seen`; `call` is what the caller wants, for a beginning."""
        if moment.wish is BEGIN:
            seen = seen._replace(text=call)
        known = moment.then.get(seen)
        if known is None:
            known = moment.then[seen] = self._run(moment, seen, moment.call or call)
        return known

    def _run(self, moment: Moment, seen: Seen, call: str) -> FlightWait | Moment:
        self.runs += 1
        history = (*moment.history, seen)
        script = self._state.script = Script(history)
        script.call(BEGIN)
        current = self._token_type(self._state, RefreshTokenGrant(SUBJECT))
        nonces = self._state.proofs.nonces = RememberedNonces(moment.memory[_NONCES])
        for name in _REMEMBERED:
            setattr(current, name, moment.memory[name])
        try:
            result: Token | BaseException = _perform(call, current, history[0].number)
        except BaseException as error:
            result = error.with_traceback(None)
        if script.wish is not None:
            # The result of a suspended process does not count: it has not come so far yet.
            return self._new(script.wish, moment.memory, call, history)
        memory = {name: getattr(current, name) for name in _REMEMBERED}
        return FlightWait(result, self._rest({**memory, _NONCES: nonces.known}))

    def _rest(self, memory: Memory) -> Moment:
        # Processes that remember equal things behave alike from here on: one moment stands for all.
        key = _frozen(memory)
        if key not in self._at_rest:
            self._at_rest[key] = self._new(BEGIN, memory)
        return self._at_rest[key]

    def _new(self, wish: Wish, memory: Memory, call: str = "", history: tuple[Seen, ...] = ()) -> Moment:
        self._moments += 1
        return Moment(self._moments, wish, memory, call, history)


def _perform(call: str, current: SimulatedToken, issued: int) -> Token:
    """What a call brings; `issued`: how many generations the server had issued when it began."""
    cached = current.cached
    if call == REVOKED:
        return _request(current, lambda sent: generation_of(sent.token) < issued).token
    if call == PROVED:
        return _proved_request(current)
    if call == SIGN_IN:
        key = current.state.proofs.new_key()
        current.start_over(current.renewal().exchange(lambda: EXCHANGE, key=key))
        assert current.cached is not None
        return current.cached.token
    if call == REJECTED and cached is not None and generation_of(cached.token) == 0:
        flight = current.replace(cached, "httpx", "GET /")
        assert flight is not None
        return flight.wait(0.0).token
    ready = current.ready(None)
    return (ready.wait(current.rules.wait_timeout) if isinstance(ready, Flight) else ready).token


def _request(current: CurrentToken, is_rejected: Callable[[CachedToken], bool]) -> CachedToken:
    """A request with the real flow after a rejection: the token that the next request begins with."""

    def rejection() -> ApiRejection:
        challenge = {"www-authenticate": 'Bearer error="invalid_token"'}
        return ApiRejection(
            "GET",
            "https://api.acme.test/",
            401,
            challenge,
            "/",
            carried_ours=True,
            carried_proof=False,
            is_replayable=lambda: True,
            read_body=WaitForFlight(Flight(), 0.0),
        )

    sent = run(token_to_send(current, "httpx"))
    if is_rejected(sent):
        retry = run(retry_after_rejection(current, sent, rejection(), "httpx"))
        if retry is not None:
            again = rejection() if is_rejected(retry.cached) else None
            run(judge_retry(current, retry, again, "httpx"))
    assert current.cached is not None
    return current.cached


API = "https://api.test/accounts"


def _proved_request(current: SimulatedToken) -> Token:
    """A request with the real flow of all attempts: the token that the next request begins with."""
    attempts = current.attempts_type(current, run(token_to_send(current, "httpx")), "httpx")
    again: CachedToken | None = attempts.sent
    while again is not None:
        again = run(attempts.after_response(_ask_api(current, again)))
    assert current.cached is not None
    return current.cached.token


def _ask_api(current: CurrentToken, sent: CachedToken) -> ApiRejection:
    headers = {} if current.rules.proof is None else current.rules.proof.prove(sent, "GET", API)
    proof = headers.get(DPOP)
    key, nonce = read_proof(HttpRequest("GET", API, dict(headers), b""))
    if proof is not None:
        of_token = base64.urlsafe_b64encode(hashlib.sha256(sent.token.access_token.encode()).digest()).decode()
        assert _part_of(proof, 1)["ath"] == of_token.rstrip("="), "the proof is for another token"
    seen = current.state.script.call(Wish("api", number=generation_of(sent.token), key=key, nonce=nonce))  # type: ignore[attr-defined]  # a ScriptedState
    challenge = f'{"Bearer" if proof is None else DPOP} error="{seen.text}"'
    return ApiRejection(
        "GET",
        API,
        200 if seen.what == "done" else 401,
        {} if seen.what == "done" else {"www-authenticate": challenge} | _nonce_header(seen),
        "/accounts",
        carried_ours=True,
        carried_proof=proof is not None,
        is_replayable=lambda: True,
        read_body=WaitForFlight(Flight(), 0.0),
    )


def _nonce_header(seen: Seen) -> dict[str, str]:
    return {} if seen.nonce < 0 else {"dpop-nonce": f"nonce-{seen.nonce}"}


def _frozen(value: Any) -> Hashable:
    """A value that is equal for memories that are alike, and hashable."""
    if isinstance(value, BlnkAuthError):
        return type(value), str(value), _frozen(value.fields())
    if is_dataclass(value) and not isinstance(value, type):
        return type(value), tuple(_frozen(getattr(value, each.name)) for each in fields(value))
    if isinstance(value, CachedToken):
        return tuple(_frozen(getattr(value, name)) for name in CachedToken.__slots__)
    if isinstance(value, tuple):
        return type(value), tuple(map(_frozen, value))
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return tuple(sorted((name, _frozen(each)) for name, each in members.items()))
    hash(value)
    return value  # type: ignore[no-any-return]
