"""The pictures of docs/explanation/ that show the states of a token, a renewal, a rejection, a sign-in and
the trust boundaries: `make snapshots` writes them.

Used by tests/docs/test_diagrams.py, which compares the calls in them with those that the library really makes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from support.sequences import LINE, WIDTH, Step, box, number_at, sequence, svg, text

FOLDER = Path(__file__).parents[2] / "docs" / "explanation"

_CALLERS, _A, _B, _STORE, _SERVER = "50 callers", "process A", "process B", "store", "server"
STAMPEDE = (
    Step(_CALLERS, _A, "50 requests, and A1 has expired"),
    Step(_A, _A, "The first caller starts a flight, 49 join it."),
    Step(_A, _STORE, "read: no newer pair", "load"),
    Step(_A, _STORE, "lock this grant", "lock"),
    Step(_A, _STORE, "read again: still R1", "load"),
    Step(_A, _SERVER, "refresh with R1", "ask"),
    Step(_B, _STORE, "read: no newer pair", "load"),
    Step(_B, _STORE, "lock: has to wait", "lock"),
    Step(_SERVER, _A, "new pair A2, R2; R1 is spent", is_answer=True),
    Step(_A, _STORE, "save A2, R2 if R1 is still stored", "save"),
    Step(_A, _STORE, "unlock", "unlock"),
    Step(_A, _CALLERS, "A2, for all 50", is_answer=True),
    Step(_STORE, _B, "the lock is free", is_answer=True),
    Step(_B, _STORE, "read again: A2, R2", "load"),
    Step(_B, _STORE, "unlock", "unlock"),
    Step(_B, _B, "Uses A2, and sends no token request."),
)

_CALLER, _LIBRARY, _API = "caller", "blnk_auth", "API"
REJECTION = (
    Step(_CALLER, _LIBRARY, "GET /accounts"),
    Step(_LIBRARY, _API, "GET /accounts with A1", "api"),
    Step(_API, _LIBRARY, "401, error invalid_token", is_answer=True),
    Step(_LIBRARY, _LIBRARY, "A1 is our token and the newest; the body can be sent again."),
    Step(_LIBRARY, _STORE, "read: no newer pair", "load"),
    Step(_LIBRARY, _STORE, "lock this grant", "lock"),
    Step(_LIBRARY, _STORE, "read again: still R1", "load"),
    Step(_LIBRARY, _SERVER, "refresh with R1", "ask"),
    Step(_SERVER, _LIBRARY, "new pair A2, R2", is_answer=True),
    Step(_LIBRARY, _STORE, "save A2, R2 if R1 is still stored", "save"),
    Step(_LIBRARY, _STORE, "unlock", "unlock"),
    Step(_LIBRARY, _API, "GET /accounts with A2, once", "api"),
    Step(_API, _LIBRARY, "200", is_answer=True),
    Step(_LIBRARY, _CALLER, "200", is_answer=True),
)

_BROWSER, _APP = "browser", "your app"
SIGN_IN = (
    Step(_BROWSER, _APP, "POST /connect"),
    Step(_APP, _LIBRARY, 'start_authorization("alice")'),
    Step(_LIBRARY, _STORE, "save alice and the verifier, under a hash of state", "save"),
    Step(_LIBRARY, _APP, "URL and state", is_answer=True),
    Step(_APP, _APP, "Keeps state in alice's session."),
    Step(_APP, _BROWSER, "redirect to the URL", is_answer=True),
    Step(_BROWSER, _SERVER, "state, code_challenge (S256)"),
    Step(_SERVER, _SERVER, "alice signs in and agrees."),
    Step(_SERVER, _BROWSER, "redirect with code, state, iss", is_answer=True),
    Step(_BROWSER, _APP, "the callback: code, state, iss"),
    Step(_APP, _APP, "Is it the state of this session?"),
    Step(_APP, _LIBRARY, "finish_authorization(URL)"),
    Step(_LIBRARY, _LIBRARY, "iss is that of the provider."),
    Step(_LIBRARY, _STORE, "read whose sign-in this state is", "load"),
    Step(_LIBRARY, _STORE, "claim it, so that it counts once", "save"),
    Step(_LIBRARY, _SERVER, "code and code_verifier, once", "ask"),
    Step(_SERVER, _LIBRARY, "the first pair A1, R1", is_answer=True),
    Step(_LIBRARY, _STORE, "lock the grant of alice", "lock"),
    Step(_LIBRARY, _STORE, "read what is stored", "load"),
    Step(_LIBRARY, _STORE, "save A1, R1", "save"),
    Step(_LIBRARY, _STORE, "unlock", "unlock"),
    Step(_LIBRARY, _APP, "the source of alice", is_answer=True),
    Step(_APP, _BROWSER, "the account is connected", is_answer=True),
)


def life() -> str:
    """The states of a token, and what leads from one to the next."""
    middle, right = 214.0, 432.0
    rows = {"missing": 16.0, "fresh": 106.0, "stale": 196.0, "about to expire": 286.0, "expired": 376.0}
    missing, fresh, *later = rows.values()
    parts = [box((middle, top, 128, 34), [name], "box name") for name, top in rows.items()]
    parts.append(box((right, 196, 116, 124), ["ended", "", "a new sign-in", "makes it fresh"], "end"))
    labels = ("sign-in, adopt()", "renew_at", "must_renew_at", "expires_at")
    for label, top in zip(labels, rows.values(), strict=False):
        parts.append(f'<path class="arrow" d="M{middle:.0f} {top + 34:.0f}V{top + 88:.0f}"/>')
        parts.append(text(middle + 8, top + 66, label, "label", "start"))
    paths = [f"M150 {top + 17:.0f}H62V{fresh + 17:.0f}H148" for top in later]
    paths += ["M278 213H372", "M278 303H372", "M278 123H406V194", "M278 393H432V322"]
    parts += [f'<path class="arrow" d="{path}"/>' for path in paths]
    for row, line in enumerate(("renewed: in the", "background if stale,", "else callers wait")):
        parts.append(text(8, 424 + row * LINE, line, "label", "start"))
    parts += [text(x, y, "invalid_grant", "label") for x, y in ((338, 118), (350, 388))]
    parts.append(f'<path class="arrow" d="M458 196V{missing + 17:.0f}H280"/>')
    parts += [text(366, y, line, "label") for y, line in ((27, "forget(), revoke(),"), (50, "from any state"))]
    return svg("The states of a token", 470, parts)


def boundaries() -> str:
    """The trust boundaries of the threat model: what is trusted, what is not, and what crosses between them."""
    parts = [
        f'<rect class="trust" x="92" y="112" width="{WIDTH - 184}" height="290" rx="10"/>',
        text(250, 390, "trusted: the machine and the store", "name"),
        box((182, 150, 140, 44), ["the application,", "its configuration"], "box"),
        box((250, 246, 276, 36), ["blnk_auth, in the same process"], "box name"),
        box((250, 326, 200, 44), ["token store,", "perhaps on another host"], "box"),
        box((80, 20, 146, 60), ["the user's browser,", "and anyone who", "sends a callback"], "end"),
        box((250, 20, 166, 60), ["authorization server:", "trusted for its own", "grants only"], "note"),
        box((420, 20, 146, 60), ["API, and where", "its redirects", "lead"], "end"),
        box((127, 442, 234, 60), ["logs, tracebacks, pickles,", "error trackers: read by others"], "end"),
        box((373, 442, 234, 60), ["a protected resource, and the", "servers that it names"], "end"),
    ]
    arrows = (
        (1, "M60 80V172H110", (60, 140)),
        (2, "M290 246V82", (290, 140)),
        (3, "M388 258H440V82", (440, 140)),
        (4, "M182 194V244", (182, 218)),
        (5, "M250 282V324", (250, 302)),
        (6, "M388 270H452V440", (452, 352)),
        (7, "M112 264H48V440", (48, 352)),
    )
    for number, path, (x, y) in arrows:
        parts.append(f'<path class="arrow" d="{path}"/>{number_at(x, y, number)}')
    return svg("The trust boundaries of blnk_auth", 518, parts)


PICTURES = {
    "renewal-life.svg": life,
    "renewal-stampede.svg": lambda: sequence(
        "Fifty callers and two processes with one expired token: one token request",
        (_CALLERS, _A, _B, _STORE, _SERVER),
        STAMPEDE,
    ),
    "renewal-401.svg": lambda: sequence(
        "A rejected token: one renewal, and the request once more",
        (_CALLER, _LIBRARY, _API, _STORE, _SERVER),
        REJECTION,
    ),
    "sign-in-web.svg": lambda: sequence(
        "A user signs in to a web application", (_BROWSER, _APP, _LIBRARY, _STORE, _SERVER), SIGN_IN
    ),
    "security-boundaries.svg": boundaries,
}
"""The name of each file, and what draws it."""


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), "utf-8")
    sys.stdout.write(f"{len(PICTURES)} pictures are written\n")
