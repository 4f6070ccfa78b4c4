"""The authorization endpoint: a user signs in, approves, and is redirected with a code. RFC 6749 section 4.1.

Used by every personality. It promises that an error of a registered client is redirected to it, and that any other
error is a page. It never redirects to a URI that the client did not register.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qsl, urlencode

from ._answer import Answer
from ._authorization_request import AuthorizationRequest, AuthorizationRules
from ._authorization_server import AuthorizationServer
from ._issued import OAuthError
from ._journal import RecordedRequest
from ._pages import consent_page, error_page


class Pushed(Protocol):
    """The requests that were pushed beforehand (RFC 9126)."""

    def members_of(self, query: dict[str, str], target: str | None) -> dict[str, str]:
        """The request that `query` names by its `request_uri`, else `query` itself. Raises `OAuthError`."""
        ...

    def check(self, query: dict[str, str]) -> None:
        """Raises `invalid_request` where a request must be pushed and was not."""
        ...

    def use(self, query: dict[str, str]) -> None:
        """The request that `query` names is used: the user has decided."""
        ...


class AuthorizationPage:
    """The authorization endpoint of one personality; `respond` is for an `EndpointSpec`.

    `rules` decide what a request may ask for. `issuer` returns the `iss` to send (RFC 9207), or None for none.
    `target_of` reads from the request which party the grant is for. `pushed`: the requests that were pushed; None where
    there is no PAR endpoint.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        rules: AuthorizationRules,
        *,
        issuer: Callable[[], str | None] = lambda: None,
        target_of: Callable[[RecordedRequest], str | None] = lambda _request: None,
        pushed: Pushed | None = None,
    ) -> None:
        self._server = server
        self._rules = rules
        self._issuer = issuer
        self._target_of = target_of
        self._pushed = pushed

    def respond(self, request: RecordedRequest) -> Answer:
        """The page, or the redirect that the user's decision causes.

        RFC 6749 section 4.1.2.1: an unknown client or redirect URI is shown to the user, without a redirect.
        """
        if request.method not in ("GET", "POST"):
            return Answer.json(405, {"error": "Method not allowed"}, {"allow": "GET, POST"})
        try:
            query = single_valued(request.query)
            members = query if self._pushed is None else self._pushed.members_of(query, self._target_of(request))
            client = self._rules.client_of(members)
        except OAuthError as wrong:
            return error_page(wrong.description)
        try:
            if self._pushed is not None:
                self._pushed.check(query)
            asked = self._rules.read(client, members)
        except OAuthError as wrong:
            return self._redirect(members, error=wrong.error, error_description=wrong.description)
        if request.method == "GET":
            return consent_page(
                client_id=client.client_id,
                scope=asked.scope,
                details=[detail["type"] for detail in asked.terms.authorization_details],
                redirect_uri=asked.redirect_uri,
            )
        return self._decide(request, asked, query, members)

    def _decide(
        self, request: RecordedRequest, asked: AuthorizationRequest, query: dict[str, str], members: dict[str, str]
    ) -> Answer:
        decision, subject = request.form.get("decision"), request.form.get("subject", "").strip()
        if decision not in ("approve", "deny") or (decision == "approve" and not subject):
            return error_page("The form needs a name to sign in as, and a decision.")
        if self._pushed is not None:
            self._pushed.use(query)
        if decision == "deny":
            return self._redirect(members, error="access_denied", error_description="The user denied access")
        try:
            code = self._server.issue_code(
                asked.client,
                subject=subject,
                scope=asked.scope,
                code_challenge=asked.code_challenge,
                target=self._target_of(request),
                redirect_uri=asked.redirect_uri,
                terms=asked.terms,
            )
        except OAuthError as wrong:
            return self._redirect(members, error=wrong.error, error_description=wrong.description)
        return self._redirect(members, code=code)

    def _redirect(self, asked: dict[str, str], **members: str) -> Answer:
        issuer = self._issuer()
        if "state" in asked:
            members["state"] = asked["state"]
        if issuer is not None:
            members["iss"] = issuer
        separator = "&" if "?" in asked["redirect_uri"] else "?"
        location = f"{asked['redirect_uri']}{separator}{urlencode(members)}"
        return Answer(302, b"", {"location": location, "cache-control": "no-store", "referrer-policy": "no-referrer"})


def single_valued(encoded: str) -> dict[str, str]:
    """The members of a query or form. RFC 6749 section 3.1: "parameters MUST NOT be included more than once"."""
    pairs = parse_qsl(encoded, keep_blank_values=True)
    members = dict(pairs)
    if len(members) != len(pairs):
        raise OAuthError("invalid_request", "A parameter of the request is repeated.")
    return members
