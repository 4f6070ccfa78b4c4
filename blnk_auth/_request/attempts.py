"""How often one request is sent: what each response means for the next attempt.

Used by all auth classes, which present each response to a request with our token (`ApiRejection`), and send the request
again or return the response. It promises:

* A request is sent at most three times: once more with another token, and once more with the nonce that the API asks
  for, or after a user has signed in. In any order, each time with a fresh proof.
* A request that was sent without a token, since there was none yet, is sent with the first one as if it were new: the
  server may have ended that one too, where another process has stored it.
* A redirected request is another request. If it has lost its proof on the way, it is sent once more with one.
* It is repeated only if it carried our token and its body can provably be sent again.
* A response that is about the proof never leads to a renewal, and shows nothing about the token.
* The nonce of each response is kept, of a success too (RFC 9449 section 8.2).

It never sends a request itself.
"""

from __future__ import annotations

from .._protocol.challenges import refusal_of_proof
from .._protocol.http_messages import Package
from .._renewal.cached_token import CachedToken
from .._renewal.credential import Credential
from .after_rejection import ApiRejection, Retry, judge_retry, retry_after_rejection
from .blocking_and_async import Waits

MOST_TIMES = 3
"""How often one request is sent: the method and the URL."""


class Attempts:
    """The attempts of one request with our token. Made for each request, and never shared.

    Attributes:
        sent: The token of the last attempt.
        answered: How many attempts have been answered.
    """

    __slots__ = ("_credential", "_package", "_proved_again", "_retry", "_target", "_times", "answered", "sent")
    sent: CachedToken
    answered: int

    def __init__(self, credential: Credential, sent: CachedToken, package: Package) -> None:
        self.sent = sent
        self.answered = 0
        self._credential = credential
        self._package: Package = package
        self._retry: Retry | None = None
        self._proved_again: set[bool] = set()
        """Whether the proof that was replaced had been sent: once each."""
        self._target = ("", "")
        self._times = 0

    def after_response(self, response: ApiRejection) -> Waits[CachedToken | None]:
        """The token to send the request with once more; None if the response is returned to the caller.

        Raises:
            SignInRequired: The API asks for a new sign-in, and the user wants this error in place of its response.
            BlnkAuthError: The request can be repeated, and there is no token to repeat it with.
        """
        self.answered += 1
        self._count(response)
        wants_another = self.observe(response)
        if self.sent.needs_proof and response.carried_ours and (wants_another or _is_about_proof(response)):
            return self._prove_again(response, may_help=wants_another or not response.carried_proof)
        return (yield from self._after_judging(response))

    def _count(self, response: ApiRejection) -> None:
        target = response.method, response.url
        self._times = self._times + 1 if target == self._target else 1
        self._target = target
        if self._times >= MOST_TIMES:
            response.forbid_repetition()

    def observe(self, response: ApiRejection) -> bool:
        """Keep the nonce of a response, also of a redirect. Whether the API may accept another proof."""
        proof = self._credential.rules.proof
        if proof is None or not response.carried_ours:
            return False
        return proof.observe(response.url, response.status_code, response.headers)

    def _prove_again(self, response: ApiRejection, *, may_help: bool) -> CachedToken | None:
        if not may_help or response.carried_proof in self._proved_again or not response.is_replayable():
            return None
        self._proved_again.add(response.carried_proof)
        return self.sent

    def _after_judging(self, response: ApiRejection) -> Waits[CachedToken | None]:
        rejection = response if response.status_code in self._credential.rules.judged_statuses else None
        if self._retry is not None:
            again = yield from judge_retry(self._credential, self._retry, rejection, self._package)
            return None if again is None else self._repeated(again)
        if rejection is None:
            # After a redirect to another origin, the answered request did not have the token.
            if response.carried_ours:
                self.sent.was_accepted = True
            return None
        retry = yield from retry_after_rejection(self._credential, self.sent, rejection, self._package)
        return None if retry is None else self._repeated(retry)

    def _repeated(self, retry: Retry) -> CachedToken:
        if self.sent.header is not None:
            # A request that had no token has not been repeated with another one yet.
            self._retry = retry
        self.sent = retry.cached
        return self.sent


def _is_about_proof(response: ApiRejection) -> bool:
    """Whether a response to a request whose token needs a proof is about that proof, and not about the token."""
    if response.status_code == 401 and not response.carried_proof:
        return True
    return refusal_of_proof(response.status_code, response.headers) is not None
