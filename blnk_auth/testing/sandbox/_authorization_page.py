"""The authorization endpoint: a user signs in, approves, and is redirected with a code. RFC 6749 section 4.1.

Used by every personality. It promises that an error of a registered client is redirected to it, and that any other
error is a page. It never redirects to a URI that the client did not register.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from urllib.parse import parse_qsl, urlencode

from ._answer import Answer
from ._authorization_server import AuthorizationServer
from ._issued import CODE_CHALLENGE_METHODS, CodeChallenge, OAuthError, RegisteredClient
from ._journal import RecordedRequest
from ._pages import consent_page, error_page


class AuthorizationPage:
    """The authorization endpoint of one personality; `respond` is for an `EndpointSpec`.

    `issuer` returns the `iss` to send (RFC 9207), or None for none. `demanded` returns the parameters that are required
    beside those of RFC 6749. `target_of` reads from the request which party the grant is for.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        *,
        issuer: Callable[[], str | None] = lambda: None,
        demanded: Callable[[], Collection[str]] = tuple,
        target_of: Callable[[RecordedRequest], str | None] = lambda _request: None,
    ) -> None:
        self._server = server
        self._issuer = issuer
        self._demanded = demanded
        self._target_of = target_of

    def respond(self, request: RecordedRequest) -> Answer:
        """The page, or the redirect that the user's decision causes.

        RFC 6749 section 4.1.2.1: an unknown client or redirect URI is shown to the user, without a redirect.
        """
        if request.method not in ("GET", "POST"):
            return Answer.json(405, {"error": "Method not allowed"}, {"allow": "GET, POST"})
        try:
            query = single_valued(request.query)
            client = self._requesting_client(query)
        except OAuthError as wrong:
            return error_page(wrong.description)
        try:
            self._check(query)
            code_challenge = _code_challenge(query)
        except OAuthError as wrong:
            return self._redirect(query, error=wrong.error, error_description=wrong.description)
        scope = query.get("scope") or client.scope
        if request.method == "GET":
            return consent_page(client_id=client.client_id, scope=scope, redirect_uri=query["redirect_uri"])
        return self._decide(request, client, query, scope, code_challenge)

    def _requesting_client(self, query: dict[str, str]) -> RegisteredClient:
        client = self._server.client(query.get("client_id", ""))
        if client is None:
            raise OAuthError("invalid_request", "No application with this client_id is registered.")
        if not client.may_be_sent_to(query.get("redirect_uri", "")):
            raise OAuthError("invalid_request", "The redirect_uri is not exactly the one this application registered.")
        return client

    def _check(self, query: dict[str, str]) -> None:
        if query.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "response_type must be code")
        for name in self._demanded():
            if not query.get(name):
                raise OAuthError("invalid_request", f"{name} is missing")

    def _decide(
        self,
        request: RecordedRequest,
        client: RegisteredClient,
        query: dict[str, str],
        scope: str,
        code_challenge: CodeChallenge | None,
    ) -> Answer:
        decision, subject = request.form.get("decision"), request.form.get("subject", "").strip()
        if decision == "deny":
            return self._redirect(query, error="access_denied", error_description="The user denied access")
        if decision != "approve" or not subject:
            return error_page("The form needs a name to sign in as, and a decision.")
        code = self._server.issue_code(
            client,
            subject=subject,
            scope=scope,
            code_challenge=code_challenge,
            target=self._target_of(request),
            redirect_uri=query["redirect_uri"],
        )
        return self._redirect(query, code=code)

    def _redirect(self, query: dict[str, str], **members: str) -> Answer:
        issuer = self._issuer()
        if "state" in query:
            members["state"] = query["state"]
        if issuer is not None:
            members["iss"] = issuer
        separator = "&" if "?" in query["redirect_uri"] else "?"
        location = f"{query['redirect_uri']}{separator}{urlencode(members)}"
        return Answer(302, b"", {"location": location, "cache-control": "no-store", "referrer-policy": "no-referrer"})


def single_valued(encoded: str) -> dict[str, str]:
    """The members of a query or form. RFC 6749 section 3.1: "parameters MUST NOT be included more than once"."""
    pairs = parse_qsl(encoded, keep_blank_values=True)
    members = dict(pairs)
    if len(members) != len(pairs):
        raise OAuthError("invalid_request", "A parameter of the request is repeated.")
    return members


def _code_challenge(query: dict[str, str]) -> CodeChallenge | None:
    if "code_challenge" not in query:
        return None
    method = query.get("code_challenge_method", "plain")
    if method not in CODE_CHALLENGE_METHODS:
        raise OAuthError("invalid_request", "code_challenge_method must be S256 or plain")
    if not 43 <= len(query["code_challenge"]) <= 128:
        raise OAuthError("invalid_request", "code_challenge must have 43 to 128 characters")
    return CodeChallenge(query["code_challenge"], method)
