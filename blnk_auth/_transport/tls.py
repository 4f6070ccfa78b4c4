"""The TLS context for the authorization server.

Used by `Network`, once for each client, because making a context takes tens of milliseconds. It promises never to ask
for a password on a terminal, and never to quote a path of `cert`: users sometimes pass the key itself by mistake.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

from ..errors import ConfigurationError, redacted


def context(verify: bool | str | PathLike[str] | ssl.SSLContext, cert: str | Sequence[str] | None) -> ssl.SSLContext:
    """The context for these settings. Raises `ConfigurationError` for a certificate, key or CA file it cannot use."""
    if isinstance(verify, ssl.SSLContext):
        if cert is not None:
            raise ConfigurationError(
                "cert cannot be added to an SSLContext that is given as verify",
                parameter="cert",
                remedy="load the certificate into the SSLContext, or pass a CA file as verify",
            )
        return verify
    if verify is not True and not isinstance(verify, str | PathLike):
        raise ConfigurationError(
            f"verify must not be {verify!r}: without verification anyone on the way could read the client secret",
            parameter="verify",
            remedy="pass True, the path of a CA file, or an ssl.SSLContext",
        )
    made = ssl.create_default_context() if verify is True else _with_authorities(fspath(verify))
    if cert is not None:
        _load_certificate(made, redacted(files_of(cert)))
    return made


def files_of(cert: str | Sequence[str]) -> Sequence[str]:
    """A `cert` as file, key file and password, as far as they are given."""
    return (cert,) if isinstance(cert, str | PathLike) else cert


def _load_certificate(made: ssl.SSLContext, files: Sequence[str]) -> None:
    try:
        # Pass a callable if there is no password. Otherwise OpenSSL would ask for one on the terminal.
        password = files[2] if len(files) > 2 else ""
        made.load_cert_chain(files[0], files[1] if len(files) > 1 else None, lambda: password)
    except (OSError, TypeError, IndexError, ValueError) as error:
        why = _why(error, files)
    else:
        return
    raise ConfigurationError(
        f"cert cannot be loaded ({why})",
        parameter="cert",
        remedy="pass a PEM file, or a tuple of file, key file and the key's password",
    )


def _why(error: Exception, files: Sequence[str]) -> str:
    """The reason in plain words, because OpenSSL's is `[SSL] PEM lib`. No path is quoted: it may be the key itself."""
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key is not that of the certificate"
        return "it has no certificate with its key, or the key's password is wrong"
    if isinstance(error, OSError):
        return f"{'the key' if _can_be_opened(files[0]) else 'the certificate'}'s file: {error.strerror}"
    return type(error).__name__


def _can_be_opened(file: str) -> bool:
    try:
        Path(file).open("rb").close()
    except OSError:
        return False
    return True


def _with_authorities(path: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        why = error.strerror or "it does not contain a certificate"
        raise ConfigurationError(
            f"verify: the CA file {path!r} cannot be loaded ({why})", parameter="verify", remedy="pass a PEM file"
        ) from None
