"""The sandbox's controls over HTTP, under `/_sandbox/`.

Used by other processes: the demo, a browser test, a client in another language. It promises the figures after each
action. Requests to it are never counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from urllib.parse import parse_qsl

from ._authorization_server import AuthorizationServer
from ._endpoint import Answer, EndpointSpec
from ._journal import Journal, RecordedRequest
from ._setting_checks import checked_lifetime


class Control:
    """`GET counts`; `GET superseded`; `POST clear-record`, `revoke-access-tokens?subject=`, `lifetime?seconds=`.

    Each responds with the counts after it; `superseded` also lists what each refresh replaced. Without `subject`, all
    access tokens are revoked.
    """

    def __init__(self, server: AuthorizationServer, journal: Journal) -> None:
        self._server = server
        self._journal = journal
        self._actions: dict[tuple[str, str], Callable[[dict[str, str]], None]] = {
            ("GET", "counts"): lambda _query: None,
            ("POST", "clear-record"): lambda _query: self._journal.clear(),
            ("POST", "revoke-access-tokens"): lambda query: self._server.revoke_access_tokens(query.get("subject")),
            ("POST", "lifetime"): self._set_lifetime,
        }

    def endpoints(self) -> list[EndpointSpec]:
        """The endpoints of the controls."""
        return [
            EndpointSpec("/_sandbox/superseded", "control", self._superseded),
            EndpointSpec("/_sandbox/{action}", "control", self._act),
        ]

    def _superseded(self, request: RecordedRequest) -> Answer:
        superseded = [asdict(each) for each in self._server.superseded]
        return Answer.json(200, {"counts": asdict(self._journal.counts), "superseded": superseded})

    def _act(self, request: RecordedRequest) -> Answer:
        action = self._actions.get((request.method, request.path.removeprefix("/_sandbox/")))
        if action is None:
            known = ", ".join(f"{method} /_sandbox/{name}" for method, name in self._actions)
            return Answer.json(404, {"error": f"No such control; there are: {known}"})
        try:
            action(dict(parse_qsl(request.query, keep_blank_values=True)))
        except ValueError as wrong:
            return Answer.json(400, {"error": str(wrong)})
        return Answer.json(200, asdict(self._journal.counts))

    def _set_lifetime(self, query: dict[str, str]) -> None:
        self._server.lifetime = checked_lifetime(query.get("seconds", ""), "seconds")
