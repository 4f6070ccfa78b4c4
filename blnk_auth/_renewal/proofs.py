"""The DPoP keys of one client: which key a grant has, and the proofs of its requests (RFC 9449).

Used by the renewal and the sign-ins, which bind grants to keys, and by the request flow. What this file promises:

* A grant that is bound to a key is used with that key, or not at all.
* Each grant has a key of its own, or all have the one that the application has given.
* A key of the application's own is never stored.

It never reads or writes the store, and never sends a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from .._protocol.callables import call_setting
from .._protocol.challenges import refusal_of_proof
from .._protocol.dpop import DPOP, ServerNonces
from .._protocol.dpop_key import DpopKey
from .._protocol.signing import PrivateKey
from ..errors import ConfigurationError, NotPickled, redacted

if TYPE_CHECKING:
    from .cached_token import CachedToken

DpopSetting = PrivateKey | Literal[True] | None
"""`OAuthClient(dpop=...)`."""

Binding = DpopKey | str | None
"""What a grant is bound to, as its record names it: its key, or the thumbprint of a key that is not stored."""


class Proofs:
    """The DPoP keys of one client, and what servers want of its proofs. May be used from any thread or task.

    Args:
        setting: None: tokens are not bound. True: a key for each grant. Else the application's own key.
        accepted: The algorithms that the server lists; empty if it lists none.
        clock: Returns UTC epoch seconds.

    Raises:
        ConfigurationError: The key cannot be used, or the server does not accept its algorithm.
    """

    def __init__(
        self,
        setting: DpopSetting = None,
        accepted: Sequence[str] = (),
        clock: Callable[[], float] = float,
    ) -> None:
        self.nonces: ServerNonces = ServerNonces()
        self._setting: Any = redacted(setting)
        self._accepted = tuple(accepted)
        self._clock = clock
        self._own: DpopKey | None = None
        if setting is True:
            DpopKey.generate(self._accepted)
        elif setting is not None and not callable(setting):
            self._own = DpopKey.of(redacted(setting), self._accepted)

    @property
    def are_wanted(self) -> bool:
        """Whether the client binds its tokens."""
        return self._setting is not None

    @property
    def pickled(self) -> object:
        """The setting, for a pickle, which contains no key."""
        return NotPickled("dpop") if isinstance(self._setting, str | bytes | Mapping) else self._setting

    def new_key(self) -> DpopKey | None:
        """The key for a grant that has none: a new one, or the application's own. None: tokens are not bound.

        Raises `ConfigurationError`, and the error of the application's callable.
        """
        if self._setting is None:
            return None
        return DpopKey.generate(self._accepted) if self._setting is True else self._own_key()

    def key_of(self, binding: Binding, whose: str) -> DpopKey | None:
        """The key that a grant is bound to; None if it is not bound.

        Args:
            binding: As the record or the pending sign-in of the grant names it.
            whose: The name of the grant, for the error.

        Raises:
            ConfigurationError: The client does not have that key, or does not use DPoP.
            TemporarilyUnavailable: The application's callable failed.
        """
        if binding is None:
            return None
        if self._setting is None:
            raise ConfigurationError(
                f"the tokens of {whose} are bound to a DPoP key, and this client was made without dpop",
                parameter="dpop",
                remedy="pass dpop=True, or the key that the client had when the grant was given",
            )
        if isinstance(binding, DpopKey):
            return binding
        own = None if self._setting is True else self._own_key()
        if own is None or own.thumbprint != binding:
            raise ConfigurationError(
                f"the tokens of {whose} are bound to another DPoP key than this client has, with the thumbprint "
                f"{binding[:60]!r}",
                parameter="dpop",
                remedy="pass that key as dpop, or forget() the grant and get it again with the new key",
            )
        return own

    def _own_key(self) -> DpopKey:
        own = self._own
        if own is None:
            # Called once: what has been bound to a key stays bound to it.
            own = self._own = DpopKey.of(redacted(call_setting("dpop", self._setting)), self._accepted)
        return own

    # --- for the request flow: see `credential.ProofOfPossession` --------------------------------------------------

    def prove(self, cached: CachedToken, method: str, url: str) -> Mapping[str, str]:
        key = cached.dpop
        if key is None or not cached.needs_proof:
            return {}
        made = self.nonces.proof(key, method=method, url=url, now=self._clock(), access_token=cached.token.access_token)
        return {DPOP: made}

    def observe(self, url: str, status_code: int, headers: Mapping[str, str]) -> bool:
        refusal = refusal_of_proof(status_code, headers)
        return self.nonces.observe(url, headers, self._clock(), refusal=refusal)
