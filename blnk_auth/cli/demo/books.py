"""The server's own account of what happened, and the rule by which each renewal is judged. Pure.

Every refresh token can be spent once, so each refresh supersedes one access token, and no access token is superseded
twice. "Exactly one token request per expiry or revocation" therefore says, in the server's books:

* each token request superseded an access token, and
* each access token that was superseded had come to its end: it was revoked, or in the last quarter of its life, in
  which a renewal is due, or past it.

A second renewal for the same expiry would supersede a token that was just born: `needless`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from ...testing.sandbox._authorization_server import Superseded
from ...testing.sandbox._journal import Counts

Ending = Literal["expired", "revoked", "needless"]

_DUE = 0.75
"""The share of its life from which on a token may be renewed. Not taken from the policy, which the demo is to check."""


def ending(token: Superseded) -> Ending:
    """Why an access token was superseded."""
    if token.revoked:
        return "revoked"
    due_at = token.issued_at + _DUE * (token.expires_at - token.issued_at)
    return "expired" if token.superseded_at >= due_at else "needless"


@dataclass(frozen=True, slots=True)
class Books:
    """The sandbox's figures, since its start or (after `since`) over a stretch of time."""

    counts: Counts = field(default_factory=Counts)
    superseded: tuple[Superseded, ...] = ()

    @classmethod
    def from_answer(cls, answer: dict[str, Any]) -> Self:
        """The books as the sandbox's control tells them."""
        return cls(Counts(**answer["counts"]), tuple(Superseded(**each) for each in answer["superseded"]))

    def since(self, earlier: Books) -> Books:
        """What was added after `earlier`."""
        before = asdict(earlier.counts)
        added = {name: figure - before[name] for name, figure in asdict(self.counts).items()}
        return Books(Counts(**added), self.superseded[len(earlier.superseded) :])

    @property
    def endings(self) -> Counter[Ending]:
        """How many tokens ended in which way."""
        return Counter[Ending](ending(token) for token in self.superseded)
