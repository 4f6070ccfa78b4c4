"""Where a secret may show, and why. Nothing else may.

Used by the canary's search. Each names a sink and a kind of secret, both as regular expressions that must match whole.
An exception that no trial needs is removed: `test_nothing_shows.py` counts them in its thorough run.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple


class NamedException(NamedTuple):
    """A sink, the kinds of secrets that may show there, and the reason."""

    sink: str
    kinds: str
    reason: str


_TOKENS = "access token|refresh token|id token"

_ATTACHED = "access token|API key"
_RESPONSE = "what the API answered, and what it was asked, as any HTTP client keeps them (SECURITY.md)"
_REQUEST = "the request's own Authorization header, as any HTTP client keeps it (SECURITY.md)"

EXCEPTIONS = (
    NamedException(
        r"log (httpcore|httpcore2)\.http11( arguments)?",
        ".*",
        "the headers of a response, as the server sent them: the log is the HTTP client's (SECURITY.md)",
    ),
    NamedException("(asdict|pickle) of Token", f"{_TOKENS}|API key", "its fields, as to_dict() and a store have them"),
    NamedException("pickle of list", _TOKENS, "the rows of importers return several tokens, each as above"),
    NamedException("(asdict|pickle) of AuthorizationRequest", "state", "a field, which the application keeps"),
    NamedException("(asdict|pickle) of AuthorizationRequest", "request_uri", "it is in the URL that the user opens"),
    NamedException("(asdict|pickle) of DeviceAuthorization", "device code", "a field, which a pickle must carry"),
    NamedException("(asdict|pickle) of Record", _TOKENS, "a record is what a store keeps"),
    NamedException(
        "(vars|(deep)?copy|pickle) of DictStore", _TOKENS, "a store of somebody else's, with attributes of its own"
    ),
    NamedException(
        r"(repr|asdict|(deep)?copy|vars|pickle) of (Refusal|ApiAnswer|HttpResponse)(\.headers|\.response)?",
        "access token",
        "what a provider's own rule judges: the response as it is",
    ),
    NamedException("(repr|vars) of RecordedRequest.headers", "client secret|access token", "what the sandbox was sent"),
    NamedException("output of token", "access token", "the purpose of this command"),
    NamedException("output of login", "state", "it is in the address that the user opens"),
    NamedException("(pickle) of dict", "client secret", "Profile.client_settings() has what a client is made of"),
    NamedException("asdict of Profile", "client secret", "in the place of a setting that is no secret, as base_url"),
    NamedException(
        r"(repr|vars|copy|deepcopy|pickle) of Response(\.headers|\.request|\.history)?", _ATTACHED, _RESPONSE
    ),
    NamedException(
        r"(rich )?local \w+ of (urllib3|requests|http|httpx2?|httpcore2?|h11)\b.*",
        _ATTACHED,
        "the frames of the HTTP client, where the user's own request fails: its headers are among its variables",
    ),
    NamedException(
        "pickle of error (ConnectionError|ConnectError|RemoteProtocolError|TooManyRedirects)",
        _ATTACHED,
        "the HTTP client's own error for the user's own request, which it carries",
    ),
    NamedException(
        r"(repr|vars|(deep)?copy|pickle) of error\.(request|response)(\.headers|\.request)?", _ATTACHED, _REQUEST
    ),
)

used: Counter[NamedException] = Counter()


def is_excepted(sink: str, kind: str) -> bool:
    """Whether a secret of this kind may show in this sink."""
    for each in EXCEPTIONS:
        if re.fullmatch(each.sink, sink) and re.fullmatch(each.kinds, kind):
            used[each] += 1
            return True
    return False
