"""Checks the arguments of `OAuthClient.authorize_interactively`.

Used by `OAuthClient` and the interactive sign-in. It promises that an argument that cannot work raises an error with
its name. It never opens a port or stores anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from .._protocol.origins import is_loopback
from ..errors import ConfigurationError, is_number, quoted
from .pending_sign_ins import PENDING_LIFETIME

Pasted = Iterable[str] | Callable[[], str | None]
"""What a user pastes: strings, or a callable that waits for the next one and returns None after the last."""


@dataclass(frozen=True, slots=True)
class InteractiveSettings:
    """The arguments of an interactive sign-in; `OAuthClient.authorize_interactively` documents each.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    port: int | None
    timeout: float
    open_browser: bool
    listen: bool
    pasted: Pasted | None
    on_url: Callable[[str], object] | None
    on_problem: Callable[[str], object] | None

    def __post_init__(self) -> None:
        _check_callables(self.pasted, on_url=self.on_url, on_problem=self.on_problem)
        _check_numbers(self.port, self.timeout)
        if not self.listen and self.pasted is None:
            raise ConfigurationError(
                "listen=False was passed without pasted=, so the client cannot receive the address that the browser is "
                "sent to",
                parameter="listen",
                remedy="pass pasted=, or leave listen out",
            )

    def checked_redirect_uri(self, redirect_uri: str | None) -> str:
        """The client's redirect_uri. Raises `ConfigurationError` if this sign-in could not receive the response."""
        return _checked_redirect_uri(redirect_uri, self.pasted)

    def pasted_lines(self) -> Iterable[str]:
        """The strings that the user pastes."""
        return iter(self.pasted, None) if callable(self.pasted) else self.pasted or ()


def is_loopback_uri(redirect_uri: str) -> bool:
    """Whether it is an http address of this machine, where a listener can be reached."""
    parts = urlsplit(redirect_uri)
    return parts.scheme.lower() == "http" and is_loopback(parts.hostname or "")


def _check_callables(pasted: Pasted | None, **callables: Callable[[str], object] | None) -> None:
    for parameter, value in callables.items():
        if value is not None and not callable(value):
            raise ConfigurationError(
                f"{parameter} must be a callable, not {quoted(value)}",
                parameter=parameter,
                remedy="pass a function of one string, or None",
            )
    if pasted is not None and not callable(pasted) and not isinstance(pasted, Iterable):
        raise ConfigurationError(
            "pasted must yield strings, or be a callable that returns the next string, or None",
            parameter="pasted",
            remedy="pass such a callable, or None",
        )


def _check_numbers(port: int | None, timeout: float) -> None:
    if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535):
        raise ConfigurationError(
            f"port must be a number from 0 to 65535, not {quoted(port)}",
            parameter="port",
            remedy="pass 0 for any free port",
        )
    if not is_number(timeout) or not 0 <= timeout <= PENDING_LIFETIME:
        raise ConfigurationError(
            f"timeout must be from 0 to {PENDING_LIFETIME:g} seconds, not {quoted(timeout)}",
            parameter="timeout",
            remedy=f"pass at most {PENDING_LIFETIME:g}, since no callback is accepted later",
        )


def _checked_redirect_uri(redirect_uri: str | None, pasted: Pasted | None) -> str:
    if redirect_uri is None:
        raise ConfigurationError(
            "redirect_uri is missing",
            parameter="redirect_uri",
            remedy="register one such as http://127.0.0.1/callback at the provider, and set redirect_uri to it",
        )
    if not is_loopback_uri(redirect_uri) and pasted is None:
        raise ConfigurationError(
            f"redirect_uri must be an http address of this machine, not {quoted(redirect_uri)}",
            parameter="redirect_uri",
            remedy=(
                "register one such as http://127.0.0.1/callback, so that the browser can be sent back here, or pass "
                "pasted= to let the user paste the address that the browser was sent to"
            ),
        )
    return redirect_uri
