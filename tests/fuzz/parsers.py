"""The parsers of foreign text, each as a function of one text, with the longest text that may reach it.

Used by `test_growth` and by the target `growth`, which looks for a text that takes longer than its length explains. An
error of this library is an ordinary result here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from fuzz.responses import ISSUER, NOW, PROVIDERS, judged
from fuzz.settings import ENVIRONMENT
from fuzz.strategies import HOSTILE_TEXTS, URL_PIECES
from fuzz.target import Target
from hypothesis import strategies as st
from support.documents import OWN_DOCUMENT, RESOURCE, SERVER_DOCUMENT, USUAL, ScriptedFetch
from support.growth import grows_too_fast
from support.sites import Reply

from blnk_auth import ApiAnswer, BlnkAuthError, MemoryStore, RenewalPolicy, StaticToken
from blnk_auth._protocol.challenges import renewal_may_help
from blnk_auth._protocol.demands import Demands, step_up_in
from blnk_auth._protocol.discovery import settings_in
from blnk_auth._protocol.origins import Origin, endpoint_origin, parse_origin
from blnk_auth._protocol.resource_metadata import resource_challenge
from blnk_auth._renewal.store_keys import parse_token_key
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth._request.redirects import leads_to
from blnk_auth._resource.learned import Learned
from blnk_auth._resource.learning import learn
from blnk_auth._sign_in.callback_url import code_of, parse_callback
from blnk_auth._sign_in.device import read_device_authorization
from blnk_auth._sign_in.page import page
from blnk_auth._transport.metadata_fetch import MOST_BYTES
from blnk_auth.cli.terminal import escaped, printable
from blnk_auth.config._references import UnresolvedReference, expand
from blnk_auth.migrate import from_hand_written, from_httpx_auth, from_requests_oauth2client
from blnk_auth.providers import is_flinks_rejection, read_flinks_answer
from blnk_auth.stores import open_store
from blnk_auth.stores._record_text import key_in, read_record

BODY = RenewalPolicy().max_answer_bytes
"""The longest response of an authorization server."""

HEADER = 65_536
"""The longest line of a header that an HTTP client reads, and the longest line that is pasted."""

DOCUMENT = MOST_BYTES
"""The longest metadata document of a protected resource, and of the server that it names."""

REJECTION = 16_384
"""The longest body of a rejection that is judged."""


STORED = 1_048_576
"""The longest text that another library has stored."""


class Parser(NamedTuple):
    """One of them. `longest` is in characters."""

    parse: Callable[[str], object]
    longest: int


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _tolerant(parse: Callable[[str], object]) -> Callable[[str], object]:
    def parse_or_refuse(text: str) -> object:
        with suppress(BlnkAuthError, UnresolvedReference):
            return parse(text)
        return None

    return parse_or_refuse


def _loaded(text: str) -> Any:
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _refused(text: str) -> object:
    return code_of(parse_callback(text), PROVIDERS["acme"], subject="alice")


def _learned(*, own: bytes | None = None, server: bytes | None = None) -> object:
    bodies = {OWN_DOCUMENT: own, SERVER_DOCUMENT: server}
    answers = {**USUAL, **{at: Reply(200, body) for at, body in bodies.items() if body is not None}}
    return learn(RESOURCE, fetch=ScriptedFetch(answers), store=MemoryStore(), now=NOW)


_API = Origin("https", "api.acme.test", 443)
_KEY = StaticToken("key", api_origins=("https://api.acme.test",))

PARSERS: Mapping[str, Parser] = {
    name: Parser(_tolerant(parse), longest)
    for name, parse, longest in (
        ("token response", lambda text: judged("acme", "refresh_token", 200, {}, _encoded(text)), BODY),
        ("error response", lambda text: judged("blink", "refresh_token", 400, {}, _encoded(text)), BODY),
        ("Flinks response", lambda text: judged("flinks", "refresh_token", 200, {}, _encoded(text)), BODY),
        (
            "Retry-After",
            lambda text: judged("acme", "refresh_token", 503, {"retry-after": text, "date": text}, b""),
            HEADER,
        ),
        ("correlation id", lambda text: judged("dpop", "refresh_token", 400, {"x-request-id": text}, b""), HEADER),
        ("device authorization", lambda text: read_device_authorization(_loaded(text), now=NOW), BODY),
        ("metadata", lambda text: settings_in({"issuer": ISSUER, **_loaded(text)}), BODY),
        ("resource metadata", lambda text: _learned(own=_encoded(text)), DOCUMENT),
        ("issuer metadata", lambda text: _learned(server=_encoded(text)), DOCUMENT),
        ("resource challenge", lambda text: resource_challenge({"www-authenticate": text}), HEADER),
        ("stored resource", lambda text: Learned.from_data(_loaded(text)), BODY),
        ("JWT", lambda text: read_flinks_answer({"access_token": f"a.{text}.b", "expires_in": 0}, NOW), BODY),
        ("challenge", lambda text: renewal_may_help(ApiAnswer(401, {"www-authenticate": text})), HEADER),
        (
            "step-up challenge",
            lambda text: step_up_in(ApiAnswer(401, {"www-authenticate": text}), "Bearer", ("at-0123456789abcdef",)),
            HEADER,
        ),
        ("token of another library", from_hand_written, STORED),
        ("serialized token of another library", from_requests_oauth2client, STORED),
        ("token cache of another library", from_httpx_auth, STORED),
        ("stored demands", lambda text: Demands.from_data(_loaded(text)), BODY),
        ("rejection", lambda text: is_flinks_rejection(ApiAnswer(401, {}, text, _encoded(text))), REJECTION),
        ("redirect", lambda text: leads_to(_API, text), HEADER),
        ("endpoint", lambda text: endpoint_origin(text, "token_endpoint"), HEADER),
        ("origin", lambda text: parse_origin(text, "api_origins"), HEADER),
        ("URL of a request", _KEY.headers, HEADER),
        ("callback", _refused, HEADER),
        ("page", lambda text: page("failed", provider=text, problem=text), HEADER),
        ("line of a terminal", lambda text: (printable(text), escaped(text)), HEADER),
        ("record text", lambda text: (read_record(text, "key", "here"), key_in(text)), BODY),
        ("stored grant", lambda text: GrantRecord.from_data(_loaded(text), "key"), BODY),
        ("store key", parse_token_key, HEADER),
        ("reference", lambda text: expand(text, ENVIRONMENT), HEADER),
        ("store URL", lambda text: open_store(text, create=False), HEADER),
        ("error text", lambda text: str(BlnkAuthError(text, remedy=text)), HEADER),
    )
}


def repeated(before: str, piece: str, after: str) -> Callable[[int], str]:
    """A text of about a given length: something repeated, between two others. `{}` in it is a number that counts up."""

    def made(length: int) -> str:
        count = max(1, length // len(piece))
        middle = (
            "".join(piece.replace("{}", str(number)) for number in range(count)) if "{}" in piece else piece * count
        )
        return before + middle + after

    return made


def check_growth(value: tuple[str, str, str, str]) -> None:
    """Twice the text takes about twice as long."""
    name, before, piece, after = value
    if not piece or name not in PARSERS:
        return
    parse, longest = PARSERS[name]
    slow = grows_too_fast(parse, repeated(before, piece, after), longest // 4)
    assert slow is None, slow


_TEXTS = st.lists(
    st.sampled_from([each for each in (*HOSTILE_TEXTS, *URL_PIECES) if len(each) < 20])
    | st.sampled_from(
        [
            '{"access_token": "at1", "x": ',
            '{"error": "',
            'Bearer error="',
            "a=",
            "&",
            '",',
            "[",
            "{",
            "]",
            "}",
            ",",
            '"',
        ]
    ),
    max_size=3,
).map("".join)

TARGETS = (
    Target(
        "growth",
        st.tuples(st.sampled_from(list(PARSERS)), _TEXTS, _TEXTS.filter(bool), _TEXTS),
        check_growth,
        frozenset(PARSERS),
        cost=20,
    ),
)
