"""What both transports share: the name we go by, the cap on answers, the error for a certificate that fails."""

from __future__ import annotations

from collections.abc import Iterable

from .. import __version__
from ..errors import ConfigurationError, ProtocolError
from .deadline import Deadline

USER_AGENT = f"blnk-auth/{__version__}"


def capped(chunks: Iterable[bytes], limit: int, deadline: Deadline) -> bytes:
    """The whole of a body. Raises `ProtocolError` if it is longer than `limit` bytes, `NoAnswer` if time runs out.

    The deadline cuts no connection that a client of the user's had open before; so it is looked at here too.
    """
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if deadline.has_passed:
            raise deadline.missed()
        if len(body) > limit:
            raise ProtocolError(
                f"the authorization server's answer is longer than {limit} bytes (policy max_answer_bytes)",
                remedy="is token_endpoint the right URL?",
            )
    return bytes(body)


def untrusted_certificate(why: str) -> ConfigurationError:
    """The error for a server that could not prove who it is."""
    return ConfigurationError(
        f"the TLS certificate of the authorization server is not trusted ({why})",
        remedy="check its host name, or pass the CA file that signed it as verify=",
    )


UNUSABLE_CLIENT = (OSError, ValueError, ImportError)
"""What HTTP clients raise, beside their own errors, for settings of the environment that are no good."""


def unusable_client(error: Exception) -> ConfigurationError:
    """The error for a client that could not even be made, or not send: most often a CA file that is not there."""
    # The text of a ValueError may quote a header.
    why = type(error).__name__ if isinstance(error, ValueError) else str(error)
    return ConfigurationError(
        f"the HTTP client for the authorization server cannot be used ({why})",
        remedy=("check verify and proxy, and in the environment REQUESTS_CA_BUNDLE, SSL_CERT_FILE and the proxies"),
    )
