"""What both transports share: the name we go by, the cap on answers, the error for a certificate that fails."""

from __future__ import annotations

from collections.abc import Iterable

from .._version import __version__
from ..errors import ConfigurationError, ProtocolError

USER_AGENT = f"blnk-auth/{__version__}"


def capped(chunks: Iterable[bytes], limit: int) -> bytes:
    """The whole of a body. Raises `ProtocolError` if it is longer than `limit` bytes."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise ProtocolError(
                f"the authorization server's answer is longer than {limit} bytes (policy max_answer_bytes); "
                "is token_endpoint the right URL?"
            )
    return bytes(body)


def untrusted_certificate(why: str) -> ConfigurationError:
    """The error for a server that could not prove who it is."""
    return ConfigurationError(
        f"the TLS certificate of the authorization server is not trusted ({why}); "
        "check its host name, or pass the CA file that signed it as verify="
    )
