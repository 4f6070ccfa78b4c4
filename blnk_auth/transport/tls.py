"""The TLS context for the authorization server, made once: making one costs tens of milliseconds."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterator

from ..errors import ConfigurationError


@functools.lru_cache(maxsize=64)
def context(verify: bool | str | ssl.SSLContext, cert: str | tuple[str, ...] | None) -> ssl.SSLContext | None:
    """The context for these settings; None if they are the defaults, which each HTTP package provides itself.

    Raises `ConfigurationError` for a certificate, key or CA file that cannot be read.
    """
    if verify is True and cert is None:
        return None
    if isinstance(verify, ssl.SSLContext):
        made = verify
    elif isinstance(verify, str):
        made = _with_authorities(verify)
    elif verify is True:
        made = ssl.create_default_context()
    else:
        raise ConfigurationError(
            "verify must be True, the path of a CA file, or an ssl.SSLContext: without verification anybody could "
            "read the client secret"
        )
    if cert is not None:
        files = (cert,) if isinstance(cert, str) else cert
        try:
            made.load_cert_chain(*files)
        except (OSError, TypeError) as error:
            raise ConfigurationError(
                f"cert cannot be loaded ({type(error).__name__}: {error}); "
                "give a PEM file, or a tuple of file, key file and password"
            ) from None
    return made


def _with_authorities(path: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise ConfigurationError(f"verify: the CA file {path!r} cannot be loaded ({error})") from None


def certificate_failure(error: BaseException) -> str | None:
    """Why a server's certificate was refused, if that is what went wrong."""
    for each in _causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return each.verify_message
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        each = queue.pop()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        queue += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
