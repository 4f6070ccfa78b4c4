"""The sandbox's own record of what happened, and the rule by which each renewal is judged.

Used by the demo's results. It promises a verdict by the server's own figures. It never calls the sandbox and never
waits.

Every refresh token can be spent once, so each refresh supersedes one access token, and no access token is superseded
twice. "Exactly one token request per expiry or revocation" therefore means, in the server's record:

* each token request superseded an access token, and
* each access token that was superseded had to be replaced: it was revoked, or it was in the last quarter of its
  lifetime, in which a renewal is due, or it had expired.

A second renewal for the same expiry would supersede a token that was just issued. Its ending is `needless`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from ...testing.sandbox._issued import Superseded
from ...testing.sandbox._journal import Counts

Ending = Literal["expired", "revoked", "needless"]

_DUE = 0.75
"""The share of its lifetime after which a token may be renewed. Not the policy's value: the demo checks the policy."""


def ending(token: Superseded) -> Ending:
    """Why an access token was superseded."""
    if token.revoked:
        return "revoked"
    due_at = token.issued_at + _DUE * (token.expires_at - token.issued_at)
    return "expired" if token.superseded_at >= due_at else "needless"


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """The sandbox's figures: since its start, or between two looks (`since`)."""

    counts: Counts = field(default_factory=Counts)
    superseded: tuple[Superseded, ...] = ()

    @classmethod
    def from_answer(cls, answer: dict[str, Any]) -> Self:
        """The record, from the response of the sandbox's control endpoint `superseded`."""
        return cls(Counts(**answer["counts"]), tuple(Superseded(**each) for each in answer["superseded"]))

    def since(self, earlier: ServerRecord) -> ServerRecord:
        """What was added after `earlier`."""
        before = asdict(earlier.counts)
        added = {name: figure - before[name] for name, figure in asdict(self.counts).items()}
        return ServerRecord(Counts(**added), self.superseded[len(earlier.superseded) :])

    @property
    def endings(self) -> Counter[Ending]:
        """How many access tokens were superseded for each reason."""
        return Counter[Ending](ending(token) for token in self.superseded)
