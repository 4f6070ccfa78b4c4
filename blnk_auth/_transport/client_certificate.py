"""The client's own certificate for the authorization server: taken again when its file is renewed, watched for its end.

Used by `Network`, for a client with `cert`. What this file promises:

* A renewed file is used from the next request on, without a restart. Looking for one costs one `stat` for each file.
* A file that cannot be read, or is only half written, changes nothing: the certificate that was loaded stays in use,
  and that is reported once.
* The end of the certificate is reported at most once a day, from three weeks before it on.

It never waits, never asks for a password on a terminal, and never quotes a path: users sometimes pass the key itself.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Literal, cast

from ..errors import ConfigurationError
from .tls import context, files_of

EXPIRY_WARNING = 21 * 86_400.0
"""Seconds before its end from which on a certificate is reported. Public authorities renew later than that by hand."""

_REPORT_EVERY = 86_400.0

CertificateEvent = Literal["certificate_expiring", "certificate_renewed", "certificate_unreadable"]
Report = Callable[[CertificateEvent, str], object]
"""Takes the name of an event and its detail."""

_Signature = tuple[tuple[int, int, int] | None, ...]


class ClientCertificate:
    """A client certificate in files, and the TLS context with it. May be used from any thread.

    Args:
        verify: True, the path of a CA file, or an `ssl.SSLContext`; see `context`.
        cert: A file, or file, key file and optional password.

    Raises:
        ConfigurationError: The files cannot be used.
    """

    def __init__(self, verify: bool | str | PathLike[str] | ssl.SSLContext, cert: str | Sequence[str]) -> None:
        self._verify = verify
        self._cert = cert
        # Read before the files are: a change in between is then found by the next look.
        self._signature = _signature(cert)
        self._context = context(verify, cert)
        self._pem = _read(cert)
        self._reported_at: float | None = None
        self.expires_at: float | None = expiry_of(self._pem)
        """When the certificate expires, in UTC epoch seconds; None if that cannot be read."""

    def look(self, now: float, report: Report) -> ssl.SSLContext:
        """The context to use now, with a renewed certificate if there is one.

        Args:
            now: UTC epoch seconds.
            report: Called with what is to be reported.
        """
        signature = _signature(self._cert)
        if signature != self._signature:
            # Another thread that looks at this moment uses the old certificate once more.
            self._signature = signature
            self._reload(report)
        self._report_expiry(now, report)
        return self._context

    def _reload(self, report: Report) -> None:
        try:
            renewed = context(self._verify, self._cert)
        except ConfigurationError as error:
            report("certificate_unreadable", f"{error.problem}; the certificate that was loaded before stays in use")
            return
        self._context = renewed
        pem = _read(self._cert)
        if pem != self._pem:
            self._pem, self.expires_at, self._reported_at = pem, expiry_of(pem), None
            report("certificate_renewed", "the file of the client certificate has changed, and is used from now on")

    def _report_expiry(self, now: float, report: Report) -> None:
        if self.expires_at is None or self.expires_at - now > EXPIRY_WARNING:
            return
        if self._reported_at is None or not 0 <= now - self._reported_at < _REPORT_EVERY:
            self._reported_at = now
            report("certificate_expiring", f"the client certificate {_end_in_words(self.expires_at - now)}")


def expiry_of(pem: bytes) -> float | None:
    """When the first certificate of a PEM file expires, in UTC epoch seconds; None if it cannot be read."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc.timestamp()
    except (ValueError, IndexError):
        return None


def _end_in_words(left: float) -> str:
    return "has expired" if left <= 0 else f"expires in {timedelta(seconds=int(left))}"


def _signature(cert: object) -> _Signature:
    """What changes if a file is replaced or written again. None for a file that is not there."""
    files = cast("Sequence[str]", cert) if isinstance(cert, list | tuple) else (cast("str", cert),)
    return tuple(map(_signature_of, files[:2]))


def _signature_of(file: str) -> tuple[int, int, int] | None:
    try:
        found = Path(file).stat()
    except (OSError, ValueError, TypeError):
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(cert: str | Sequence[str]) -> bytes:
    try:
        return Path(files_of(cert)[0]).read_bytes()
    except OSError:
        return b""
