"""The certificates of a sandbox with TLS, as files that clients can name.

Used by `blnk-auth sandbox --tls`. It promises the same paths at each start with the same port, in this user's directory
for state, which no other user can read. It never writes the key of the authority, which exists in memory only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..config._document import user_directory
from ..stores._durable_file import replace_file
from ..stores._private_file import make_directory
from .exit_status import CONFIGURATION, Failure


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the files of the sandbox on one port are.

    Attributes:
        authority: The certificate of the authority, for `verify=`.
        client: The certificate and the key of the client, for `cert=`.
    """

    authority: Path
    client: Path

    @classmethod
    def of(cls, port: int) -> CertificateFiles:
        """The files of the sandbox on this port. Raises `Failure` if this user has no home directory."""
        directory = user_directory("state")
        if directory is None:
            raise Failure("--tls needs a place for certificates, and this user has no home; set HOME", CONFIGURATION)
        return cls(directory / f"sandbox-{port}-ca.pem", directory / f"sandbox-{port}-client.pem")

    def save(self, authority: bytes, client: bytes | None) -> None:
        """Write them; the client's if there is one. Raises `Failure`."""
        try:
            make_directory(self.authority.parent)
            replace_file(self.authority, authority)
            if client is not None:
                replace_file(self.client, client)
        except OSError as wrong:
            reason = f"--tls: {self.authority.parent} cannot be written ({wrong.strerror}); make it writable"
            raise Failure(reason, CONFIGURATION) from wrong
