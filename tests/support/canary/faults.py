"""Every failure that an operation may meet, by name: what the server, the network or the store does.

Used by the tables of rows, which name the failures of each operation. A failure prepares a world before its operation
runs. To add one: a function of the world, and its name in `FAILURES`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from support.limits import PATIENCE
from support.sites import Reply

from blnk_auth import RenewalPolicy

from .marks import ENCODINGS, in_every_encoding
from .server import Cut, Fault, Heard, Purpose

if TYPE_CHECKING:
    from .world import World

Failure = Callable[["World"], object]


# --- answers that quote what was sent, in every encoding -------------------------------------------------------------


def quoting(place: Callable[[str, Heard], Reply], encoding: str) -> Fault:
    """An answer with each secret of the request in one encoding."""

    def answer(heard: Heard) -> Reply:
        encode = ENCODINGS[encoding]
        return place(" ".join(encode(secret) for secret in heard.secrets.values()), heard)

    return answer


def _error(text: str, *, status: int = 400, error: str = "invalid_request", **members: str) -> Reply:
    return Reply.json({"error": error, "error_description": text, **members}, status)


PLACES: dict[str, Callable[[str, Heard], Reply]] = {
    "error_description": lambda text, _: _error(f"rejected: {text} is not valid"),
    "error_description of invalid_grant": lambda text, _: _error(f"unknown {text}", error="invalid_grant"),
    "error_description of invalid_client": lambda text, _: _error(
        f"unknown {text}", error="invalid_client", status=401
    ),
    "error": lambda text, _: Reply.json({"error": text[:300]}, 400),
    "error_uri": lambda text, _: _error("see the link", error_uri=f"https://as.test/?{text}"),
    "title": lambda text, _: Reply.json({"title": text, "status": 400}, 400),
    "errors": lambda text, _: Reply.json({"errors": [{"code": "e1", "message": text}]}, 400),
    "message in a 200": lambda text, _: Reply.json({"message": text}),
    "HTML": lambda text, _: Reply(502, f"<html><body>{text}</body></html>".encode()),
    "text in a 200": lambda text, _: Reply(200, text.encode()),
    "correlation id": lambda text, _: Reply(
        500, b"{}", {"x-correlation-id": text, "ob-correlation-id": text, "x-fapi-interaction-id": text}
    ),
    "challenge": lambda text, _: Reply(
        401, b'{"error":"invalid_client"}', {"WWW-Authenticate": f'Basic realm="{_in_header(text)}"'}
    ),
    "Retry-After": lambda text, _: Reply(503, b"", {"Retry-After": _in_header(text)}),
    "Location": lambda text, heard: Reply(307, b"", {"Location": f"/elsewhere?{_in_header(text)}"}),
    "cookie": lambda text, _: Reply(500, b"", {"Set-Cookie": f"sent={_in_header(text).replace(' ', '')}; Path=/"}),
    "content type": lambda text, _: Reply(500, b"{}", {"Content-Type": f"text/{_in_header(text)}"}),
    "content encoding": lambda text, _: Reply(200, b"{}", {"Content-Encoding": _in_header(text)}),
}


def _in_header(text: str) -> str:
    return text.encode("ascii", "replace").decode().replace('"', "'")


def _registration_quotes(heard: Heard, world: World) -> Reply:
    """A refusal that shows the client that it refuses."""
    registered = world.server.register()
    return _error(f"refused {registered}", error="invalid_client_metadata", **registered)


def _registration_in_html(_: Heard, world: World) -> Reply:
    return Reply(201, f"<html>{world.server.register()}</html>".encode())


def _registration_without_id(_: Heard, world: World) -> Reply:
    return Reply.json({**world.server.register(), "client_id": None}, 201)


def _registration_of_secrets(_: Heard, world: World) -> Reply:
    """Each member is a secret in the wrong place, but the id."""
    registered = world.server.register()
    secret = registered["client_secret"]
    wrong = {"client_secret": [secret], "redirect_uris": [secret], "token_endpoint_auth_method": secret}
    return Reply.json({**registered, **wrong, "client_secret_expires_at": secret}, 201)


# --- answers that are wrong in other ways ----------------------------------------------------------------------------


def _cut(_: Heard) -> Reply:
    raise Cut


def _cut_body(heard: Heard) -> Reply:
    def body() -> Iterable[bytes]:
        yield b'{"access_token":"' + "".join(heard.secrets.values()).encode()
        raise Cut

    return Reply(200, body())


def _odd(heard: Heard, world: World) -> Reply:
    """A pair whose other members are secrets in the wrong place."""
    sent = " ".join(heard.secrets.values())
    issued = world.server.issue()
    odd = {
        "token_type": issued["access_token"],
        "expires_in": issued["refresh_token"],
        "refresh_expires_in": issued["access_token"],
        "scope": [sent],
        sent: issued["access_token"],
    }
    return Reply.json({**issued, **odd})


def _without_access_token(_: Heard, world: World) -> Reply:
    issued = world.server.issue()
    return Reply.json({**issued, "access_token": [issued["access_token"]]})


def _malformed(_: Heard, world: World) -> Reply:
    return Reply(200, json.dumps(world.server.issue()).encode()[:-20])


def _unsendable(_: Heard, world: World) -> Reply:
    issued = world.server.issue()
    return Reply.json({**issued, "access_token": f"{issued['access_token']} {issued['access_token']}\n"})


def _deep(_: Heard, world: World) -> Reply:
    issued = json.dumps(world.server.issue())
    return Reply(200, f'{issued[:-1]}, "deep": {"[" * 5000}{"]" * 5000}}}'.encode())


def _hang(heard: Heard, world: World) -> Reply:
    world.server.released.wait(PATIENCE)
    raise Cut


def fails(purpose: Purpose, fault: Callable[..., Reply], *, hangs: bool = False) -> Failure:
    """Each request of that purpose meets the fault; one of two arguments gets the world too."""

    def prepare(world: World) -> None:
        takes_world = fault.__code__.co_argcount == 2 if hasattr(fault, "__code__") else False
        world.server.faults[purpose] = partial(fault, world=world) if takes_world else fault
        if hangs:
            world.policy = world.policy_of(read_timeout=0.2, request_deadline=0.3)

    return prepare


# --- stores that fail ------------------------------------------------------------------------------------------------


def store_fails(*verbs: str, error: Callable[[str], BaseException] = RuntimeError) -> Failure:
    """From now on these calls of the world's store raise an error that quotes what the store was given."""

    def prepare(world: World) -> None:
        world.break_store(verbs, error)

    return prepare


def _unreadable(world: World) -> None:
    world.damage_records()


FAILURES: dict[str, Failure] = {
    **{
        f"{purpose}: {place} quotes it in {encoding}": fails(purpose, quoting(PLACES[place], encoding))
        for purpose in ("token", "device", "par", "revocation")
        for place in PLACES
        for encoding in ENCODINGS
    },
    "metadata: quotes it": fails("metadata", lambda heard: Reply(404, str(heard.request.headers).encode())),
    "metadata: is cut": fails("metadata", _cut),
    "api: cut": fails("api", _cut),
    "api: quotes it": fails(
        "api", lambda heard: Reply(400, " ".join(in_every_encoding(heard.secrets.values())).encode())
    ),
    "api: rejects it": fails(
        "api", lambda heard: Reply.rejected(f'Bearer error="invalid_token", error_description="{heard.secrets}"')
    ),
    "api: redirects": fails("api", lambda heard: Reply.redirect("http://127.0.0.1:1/elsewhere")),
    "registration: quotes it": fails("registration", _registration_quotes),
    "registration: HTML": fails("registration", _registration_in_html),
    "registration: no client_id": fails("registration", _registration_without_id),
    "registration: secrets as members": fails("registration", _registration_of_secrets),
    "registration: cut": fails("registration", _cut),
    "token: odd members": fails("token", _odd),
    "token: no access token": fails("token", _without_access_token),
    "token: malformed": fails("token", _malformed),
    "token: unsendable": fails("token", _unsendable),
    "token: deep": fails("token", _deep),
    **{
        f"{purpose}: {name}": fails(purpose, fault, hangs=fault is _hang)
        for purpose in ("token", "device", "par", "revocation")
        for name, fault in (("cut", _cut), ("body cut", _cut_body), ("hangs", _hang))
    },
    "store: load fails": store_fails("load"),
    "store: save fails": store_fails("save"),
    "store: load fails with a text": store_fails("load", error=lambda text: OSError(5, text)),
    "store: delete fails": store_fails("delete"),
    "store: lock fails": store_fails("lock"),
    "store: keys fail": store_fails("keys"),
    "store: unreadable": _unreadable,
    "callables raise": lambda world: world.break_callables(RuntimeError),
    "callables exit": lambda world: world.break_callables(SystemExit),
    "callables return nonsense": lambda world: world.break_callables(None),
    "on_event raises": lambda world: world.break_on_event(),
}

EVERY_PLACE = tuple(place for place in PLACES)


def quotes(purpose: Purpose, places: Iterable[str] = PLACES, encodings: Iterable[str] = ("plain",)) -> tuple[str, ...]:
    """The names of the failures in which the server quotes secrets."""
    return tuple(f"{purpose}: {place} quotes it in {encoding}" for place in places for encoding in encodings)


BROKEN = ("cut", "body cut", "hangs")
ODD = tuple(f"token: {name}" for name in ("odd members", "no access token", "malformed", "unsendable", "deep"))
STORE = tuple(name for name in FAILURES if name.startswith("store: "))
REGISTRATION = tuple(name for name in FAILURES if name.startswith("registration: "))
CALLABLES = tuple(name for name in FAILURES if name.startswith("callables "))

TOKEN_REQUEST = (
    *quotes("token", ("error_description", "error_description of invalid_grant", "error", "HTML", "Location")),
    *(f"token: {name}" for name in BROKEN),
    *ODD,
    *CALLABLES,
    "on_event raises",
)
"""What any operation meets that asks for a token."""


ONE_OF_EACH = (*quotes("token", ("error_description",)), "token: odd members", "callables raise")
"""Of what any operation meets that asks for a token: enough where another operation meets them all, and this one in the
deep run.
"""


def policy(**changes: Any) -> RenewalPolicy:
    """No waiting between the attempts after a lost answer."""
    return RenewalPolicy(**{"lost_answer_retries": 0, "lost_answer_delay": 0.0, **changes})
