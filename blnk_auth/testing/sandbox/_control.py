"""The sandbox's controls over HTTP, under `/_sandbox/`.

Used by other processes: the demo, the live page, a browser test, a client in another language. It promises the figures
after each action, and an error that names what is wrong. Requests to it are never counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, get_args
from urllib.parse import parse_qsl

from ._answer import Answer
from ._authorization_server import AuthorizationServer
from ._endpoint import EndpointSpec
from ._faults import FaultKind, FaultQueue
from ._journal import Journal, RecordedRequest
from ._named_faults import named_fault
from ._recent_grants import RecentGrants
from ._setting_checks import checked_lifetime

Query = Mapping[str, str]


class Control:
    """The controls of one sandbox.

    * `GET counts`; `GET superseded`, which also lists what each refresh replaced.
    * `POST clear-record`, `revoke-access-tokens?subject=`, `lifetime?seconds=`, `rotation?on=true`; without `subject`,
      all access tokens are revoked.
    * `POST fail?name=&at=`, `clear-faults`: faults by name; without `at`, where the provider documents it.
    * `POST issue?subject=`; `expire`, `reject`, `rotate` and `revoke`, each with `?grant=` and the number of a grant.
    * `POST token?subject=` issues a grant too, and responds with its access token as text, for a shell.

    Each other one responds with the counts after it. `issue` makes a grant for a user.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        journal: Journal,
        faults: Mapping[FaultKind, FaultQueue],
        grants: RecentGrants,
        *,
        personality: str,
        issue: Callable[[str], dict[str, Any]],
    ) -> None:
        self._server = server
        self._journal = journal
        self._faults = faults
        self._personality = personality
        self._issue = issue
        self._actions: dict[tuple[str, str], Callable[[Query], object]] = {
            ("GET", "counts"): lambda _query: None,
            ("POST", "clear-record"): lambda _query: journal.clear(),
            ("POST", "revoke-access-tokens"): lambda query: server.revoke_access_tokens(query.get("subject")),
            ("POST", "lifetime"): self._set_lifetime,
            ("POST", "rotation"): self._set_rotation,
            ("POST", "fail"): self._fail,
            ("POST", "clear-faults"): self._clear_faults,
            ("POST", "issue"): lambda query: issue(_subject(query)),
            ("POST", "expire"): lambda query: grants.expire(_grant(query)),
            ("POST", "reject"): lambda query: grants.reject(_grant(query)),
            ("POST", "rotate"): lambda query: grants.rotate(_grant(query), server),
            ("POST", "revoke"): lambda query: grants.revoke(_grant(query)),
        }

    def endpoints(self) -> list[EndpointSpec]:
        """The endpoints of the controls."""
        return [
            EndpointSpec("/_sandbox/superseded", "control", self._superseded),
            EndpointSpec("/_sandbox/token", "control", self._token),
            EndpointSpec("/_sandbox/{action}", "control", self._act),
        ]

    def _superseded(self, request: RecordedRequest) -> Answer:
        superseded = [asdict(each) for each in self._server.superseded]
        return Answer.json(200, {"counts": asdict(self._journal.counts), "superseded": superseded})

    def _token(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return Answer.json(405, {"error": "Method not allowed"}, {"allow": "POST"})
        token: str = self._issue(_subject(_query_of(request)))["access_token"]
        return Answer(200, f"{token}\n".encode(), {"content-type": "text/plain", "cache-control": "no-store"})

    def _act(self, request: RecordedRequest) -> Answer:
        action = self._actions.get((request.method, request.path.removeprefix("/_sandbox/")))
        if action is None:
            named = [*self._actions, ("GET", "superseded"), ("POST", "token")]
            known = ", ".join(f"{method} /_sandbox/{name}" for method, name in named)
            return Answer.json(404, {"error": f"No such control; there are: {known}"})
        try:
            action(_query_of(request))
        except ValueError as wrong:
            return Answer.json(400, {"error": str(wrong)})
        return Answer.json(200, asdict(self._journal.counts))

    def _set_lifetime(self, query: Query) -> None:
        self._server.lifetime = checked_lifetime(query.get("seconds", ""), "seconds")

    def _set_rotation(self, query: Query) -> None:
        if query.get("on") not in ("true", "false"):
            raise ValueError("on must be true or false")
        self._server.rotates = query["on"] == "true"

    def _fail(self, query: Query) -> None:
        name = query.get("name", "")
        known: dict[str, FaultKind] = {kind: kind for kind in get_args(FaultKind)}
        if "at" in query and query["at"] not in known:
            raise ValueError(f"at must be one of {', '.join(known)}")
        kind, fault = named_fault(self._personality, name).for_requests(known.get(query.get("at", "")))
        self._faults[kind].add(name, fault)

    def _clear_faults(self, _query: Query) -> None:
        for queue in self._faults.values():
            queue.clear()


def _query_of(request: RecordedRequest) -> Query:
    return dict(parse_qsl(request.query, keep_blank_values=True))


def _subject(query: Query) -> str:
    return query.get("subject") or "alice"


def _grant(query: Query) -> int:
    text = query.get("grant", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError("grant must be the number of a grant")
    return int(text)
