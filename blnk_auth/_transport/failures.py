"""Describes why an exchange with the authorization server failed.

Used by both transports. It promises that a description has only the type of the error and the operating system's
reason. It never quotes more of an HTTP client's error: the rest may contain text of the server, and some servers send
our secrets back.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator

from ..errors import ConfigurationError

UNUSABLE_CLIENT = (OSError, ValueError, ImportError)
"""Errors that HTTP clients raise for unusable settings of the environment. They are not the package's own errors."""


def name_of(error: BaseException) -> str:
    """The type of an error, with the operating system's reason if it has one: `ConnectError (Connection refused)`."""
    reasons = (each.errno for each in _causes(error) if isinstance(each, OSError) and isinstance(each.errno, int))
    known = next((os.strerror(number) for number in reasons if number > 0), None)
    return type(error).__name__ + (f" ({known})" if known else "")


def unusable_client(error: Exception) -> ConfigurationError:
    """The error for a client that could not be made, or could not send: most often a CA file that does not exist."""
    # The text of any other error may quote a header, or the password of a proxy.
    why = str(error) if isinstance(error, OSError | ImportError) else type(error).__name__
    return ConfigurationError(
        f"the HTTP client for the authorization server cannot be used ({why})",
        remedy="check verify and proxy, and the environment variables REQUESTS_CA_BUNDLE, SSL_CERT_FILE and *_PROXY",
    )


def untrusted_certificate(error: BaseException) -> ConfigurationError | None:
    """The error for a server whose certificate was refused; None if `error` has another cause."""
    refused = next((each for each in _causes(error) if isinstance(each, ssl.SSLCertVerificationError)), None)
    if refused is None:
        return None
    return ConfigurationError(
        f"the TLS certificate of the authorization server is not trusted ({refused.verify_message})",
        parameter="verify",
        remedy="check the host name, or pass as verify= the file of the CA that signed the certificate",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        each = queue.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        queue += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
