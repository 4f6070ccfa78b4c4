"""The table of the first page that compares libraries, made of the figures of `make bench`: `make pictures` writes it.

Used by `support.pictures` and by the test of that page. A cell states what `benchmarks/results.json` has, and nothing
else; the numbers of a row are those of the catalogue of failures, which names the tests.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "index.md"
BEGIN, END = "<!-- comparison: written by make pictures -->\n", "<!-- end of the comparison -->\n"

ROWS = {
    "F01": "64 threads meet one expired token: one token request",
    "F04": "four event loops share one renewal",
    "F07": "a cancelled task does not lose the new token",
    "F12": "while the token endpoint is down, a token that is still valid serves",
    "F16": '`"expires_in": "3600.5"` does not lose the new tokens',
    "F30": "a token that the API rejects is renewed once, and the calls repeated",
    "F36": "no refresh token follows a redirect",
    "F38": "the token is sent to its own API, and to no other origin",
    "F40": "eight processes with one grant: one token request",
}

LIBRARIES = (
    "authlib",
    "requests-oauthlib",
    "requests-oauth2client",
    "requests-auth",
    "httpx-auth",
    "MCP SDK",
    "hand-written",
)
"""Those that people use to sign users in, and what they write themselves; the page of figures has the others too."""

_FAILS = {"F04": "fails", "F07": "fails", "F12": "fails", "F16": "fails", "F30": "fails", "F36": "sent", "F38": "sent"}


def table() -> str:
    """The Markdown."""
    found = json.loads((ROOT / "benchmarks" / "results.json").read_text("utf-8"))
    lines = [f"| promise | blnk_auth | {' | '.join(LIBRARIES)} |", "| --- |" + " --- |" * (len(LIBRARIES) + 1)]
    for number, promise in ROWS.items():
        ours = f"[{cell(found, 'blnk_auth', number)} tests](reference/known-failures.md#{number.lower()})"
        lines.append(f"| {promise} | {ours} | {' | '.join(cell(found, each, number) for each in LIBRARIES)} |")
    return "\n".join(lines) + "\n"


def cell(found: dict[str, Any], library: str, number: str) -> str:
    """What was measured of a library, with the HTTP client where its clients differ; a dash if nothing was."""
    by_verdict: dict[str, list[str]] = {}
    for label in found["failures"]:
        name, _, client = label.removesuffix(")").rpartition(" (")
        verdict = _measured(found, label, number) if name == library else None
        if verdict is not None and client.removesuffix(" async") not in by_verdict.setdefault(verdict, []):
            by_verdict[verdict].append(client.removesuffix(" async"))
    if len(by_verdict) < 2:
        return next(iter(by_verdict), "-")
    return ", ".join(f"{verdict} ({', '.join(clients)})" for verdict, clients in by_verdict.items())


def _measured(found: dict[str, Any], label: str, number: str) -> str | None:
    """A tick, or a cross with the consequence; None where it does not apply or was not measured."""
    if number in ("F01", "F40"):
        crowd = found["herd"]["64 threads" if number == "F01" else "8 processes"].get(label)
        if crowd is None:
            return None
        if crowd["token_requests"] == 1 and not crowd["reuses"] and not crowd["failed_calls"]:
            return "✓"
        return "✗ grant lost" if crowd["grant_revoked"] else f"✗ {crowd['token_requests']} requests"
    scenario = found["failures"][label][number]
    if scenario["passed"] is None:
        return None
    is_lost = "grant revoked" in scenario["what"] or "rotation lost" in scenario["what"]
    return "✓" if scenario["passed"] else "✗ grant lost" if is_lost else f"✗ {_FAILS[number]}"


def with_table(page: str) -> str:
    """The page with the table of today."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"
