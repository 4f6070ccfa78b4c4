"""Tokens that only their owner can use: bound to a key by DPoP (RFC 9449), or to a certificate (RFC 8705).

Used by Blnk Cloud's personality with the extensions "dpop" and "mtls". It promises that a bound token is refused
without its proof: another key, no certificate, or sent as Bearer. It never binds a token that was not asked for so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ._answer import Answer
from ._extensions import Extension
from ._issued import AccessToken, Confirmation, OAuthError
from ._journal import RecordedRequest

if TYPE_CHECKING:
    from ._proofs import Proofs

MTLS_PREFIX = "/mtls"
"""The endpoints below this path ask for a certificate: those of `mtls_endpoint_aliases`."""


class TokenBinding:
    """What a sandbox with these extensions does about bound tokens.

    `clock` is in seconds; `count` adds one to a figure.
    """

    def __init__(
        self, extensions: Collection[Extension], *, clock: Callable[[], float], count: Callable[[str], None]
    ) -> None:
        self._extensions = extensions
        self._count = count
        self._proofs: Proofs | None = None
        if "dpop" in extensions:
            # joserfc takes a moment to import, which a sandbox without DPoP need not wait for.
            from ._nonces import Nonces
            from ._proofs import Proofs

            changes = "dpop_nonce_changes" in extensions
            nonces = Nonces(clock, changes=changes) if "dpop_nonce" in extensions else None
            self._proofs = Proofs(clock=clock, count=count, nonces=nonces)

    @property
    def algorithms(self) -> Collection[str]:
        """The signature algorithms of proofs; empty without DPoP."""
        if self._proofs is None:
            return ()
        from ._proofs import ALGORITHMS

        return ALGORITHMS

    def of_request(self, request: RecordedRequest, *, must_prove: bool = False) -> Confirmation:
        """What the tokens that a request asks for are bound to. Raises `invalid_dpop_proof` or `use_dpop_nonce`.

        `must_prove`: whether the extension "dpop_required" applies.
        """
        jkt = None if self._proofs is None else self._proofs.check(request)
        if jkt is None and must_prove and "dpop_required" in self._extensions:
            raise OAuthError("invalid_dpop_proof", "The DPoP header is missing")
        return Confirmation(jkt, request.certificate_thumbprint if self.asks_for_certificate(request) else None)

    def asks_for_certificate(self, request: RecordedRequest) -> bool:
        """Whether this endpoint asks its clients for a certificate."""
        return "mtls" in self._extensions and request.path.startswith(f"{MTLS_PREFIX}/")

    def check_use(self, request: RecordedRequest, scheme: str, token: str, issued: AccessToken | None) -> None:
        """Raises `OAuthError` if the request may not use this access token, which is `issued` if it is known."""
        confirmation = Confirmation() if issued is None else issued.confirmation
        jkt = None
        if scheme not in ("bearer", "dpop") or (scheme == "dpop" and self._proofs is None):
            raise OAuthError("invalid_token", "Invalid or expired token")
        if scheme == "dpop" and self._proofs is not None:
            jkt = self._proofs.check(request, token)
            if jkt is None:
                self._count("refused_proofs")
                raise OAuthError("invalid_dpop_proof", "The DPoP header is missing")
        if confirmation.jkt is not None and scheme == "bearer":
            # Section 7.2: a server "MUST reject a DPoP-bound access token received as a bearer token".
            self._count("bearer_downgrades")
            raise OAuthError("invalid_token", "The token is bound to a key, and was sent as Bearer")
        if confirmation.jkt != jkt:
            raise OAuthError("invalid_token", "The token is not bound to the key of the proof")
        if confirmation.x5t not in (None, request.certificate_thumbprint):
            raise OAuthError("invalid_token", "The token is bound to another certificate")

    def rejection(self, refusal: OAuthError | None, scheme: str, problem: str) -> Answer:
        """The response to an API request that may not use its token. `refusal` None: it has no token."""
        challenge = self._challenge(refusal, scheme)
        headers = {} if challenge is None else {"www-authenticate": challenge}
        return self.with_nonce(Answer.json(401, {"error": problem}, headers), refusal)

    def _challenge(self, refusal: OAuthError | None, scheme: str) -> str | None:
        if self._proofs is None:
            return None if refusal is None else f'Bearer error="{refusal.error}"'
        algorithms = f'algs="{" ".join(self.algorithms)}"'
        if refusal is None:
            # Section 7.2 has this example of a server that takes both kinds of tokens.
            return f"Bearer, DPoP {algorithms}"
        description = refusal.description.replace("\\", "").replace('"', "")
        error = f'error="{refusal.error}", error_description="{description}"'
        return f"DPoP {error}, {algorithms}" if scheme == "dpop" else f"Bearer {error}, DPoP {algorithms}"

    def with_nonce(self, answer: Answer, refusal: OAuthError | None = None) -> Answer:
        """The response with the nonce: where it is asked for, and, if nonces change, in each one (section 8.2)."""
        nonces = None if self._proofs is None else self._proofs.nonces
        if nonces is None or not (nonces.changes or (refusal is not None and refusal.error == "use_dpop_nonce")):
            return answer
        headers: Mapping[str, str] = {**answer.headers, "dpop-nonce": nonces.current()}
        return replace(answer, headers=headers)
