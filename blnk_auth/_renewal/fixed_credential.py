"""The credential behind a `StaticToken`: a fixed key, which is never renewed.

Used by `StaticToken`. It promises that the key is sent to allowed origins only, and that no error contains it. It never
reads a store or asks a server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .._protocol.http_messages import Call, Package
from .._protocol.origins import AllowedOrigins, Origin, origins_of_provider
from ..errors import ConfigurationError, quoted
from ..events import Event, emit
from ..token import Token
from .cached_token import BEARER, CachedToken, how_to_pass, is_sendable
from .credential import RequestRules, why_withheld
from .schedule import NEVER_RENEWED

if TYPE_CHECKING:
    from ..provider import Provider


class FixedCredential:
    """A fixed key to send; see `Credential`. Immutable; may be shared between threads and tasks.

    Attributes:
        rules: Where the key may be sent, and in which header.
        cached: The key, as a token that never expires.
    """

    __slots__ = ("_call", "_provider", "cached", "rules")

    after_rejection = None

    def __init__(self, rules: RequestRules, cached: CachedToken, provider: Provider | None, call: Call) -> None:
        self.rules = rules
        self.cached = cached
        self._provider = provider
        self._call = call

    @classmethod
    def checked(
        cls,
        value: str,
        api_origins: Iterable[str],
        header: str,
        provider: Provider | None,
        subject: str | None,
    ) -> FixedCredential:
        """From what the user passed to `StaticToken`. Raises `ConfigurationError`, or the error of a callable."""
        _check_value(value)
        _check_header(header)
        own = () if provider is None else provider.api_origins
        origins = AllowedOrigins(origins_of_provider(own, api_origins))
        call = Call("api", subject, target=None if provider is None else provider.target_of(subject))
        has_api_headers = provider is not None and bool(provider.api_headers)
        return cls(
            RequestRules(origins, header, has_api_headers=has_api_headers),
            CachedToken(Token(value), NEVER_RENEWED, prefix=_prefix(header, provider)),
            provider,
            call,
        )

    def __repr__(self) -> str:
        return f"<StaticToken in {self.rules.header_name} for {self.rules.origins!r}>"

    def fresh(self) -> CachedToken:
        return self.cached

    def ready(self, package: Package | None) -> CachedToken:
        return self.cached

    def api_headers(self) -> Mapping[str, str]:
        return {} if self._provider is None else self._provider.api_headers_of(self._call)

    def report_withheld(self, origin: Origin | None) -> None:
        detail = why_withheld(origin, self.rules.header_name, "add it to the StaticToken")
        emit(None, Event("token_withheld", repr(self), detail))


def _prefix(header: str, provider: Provider | None) -> str:
    if header.lower() != "authorization":
        return ""
    return BEARER if provider is None else f"{provider.token_scheme} "


def _check_value(value: str) -> None:
    if not is_sendable(value):
        raise ConfigurationError(
            "value must be a non-empty string of visible ASCII characters, without spaces",
            parameter="value",
            remedy=how_to_pass(value, otherwise="pass the key as the provider wrote it"),
        )


def _check_header(header: str) -> None:
    if (
        not isinstance(header, str)
        or not header
        or not header.isascii()
        or not header.replace("-", "").replace("_", "").isalnum()
    ):
        raise ConfigurationError(
            f"header must be the name of an HTTP header, not {quoted(header)}",
            parameter="header",
            remedy="pass a name such as 'X-Blnk-Key', or leave it out for Authorization",
        )
