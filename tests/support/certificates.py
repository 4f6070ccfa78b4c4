"""An authority for servers and clients of a test, and what it issued, as files.

Used by tests over TLS. One authority serves a whole run: making keys takes time.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """An authority for servers and clients alike, and what it issued, as files."""

    authority: trustme.CA
    directory: Path

    @property
    def ca_file(self) -> str:
        path = self.directory / "ca.pem"
        self.authority.cert_pem.write_to_path(str(path))
        return str(path)

    def server(self, *, client_certificate: ssl.VerifyMode = ssl.CERT_OPTIONAL) -> ssl.SSLContext:
        """For a server on 127.0.0.1 that asks its clients for a certificate."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(tls)
        self.authority.configure_trust(tls)
        tls.verify_mode = client_certificate
        return tls

    def files(self, client_id: str) -> tuple[str, str]:
        """The certificate and the key of a client."""
        cert, key = self.directory / f"{client_id}.pem", self.directory / f"{client_id}.key"
        if not key.exists():
            issued = self.authority.issue_cert("client.test", common_name=client_id)
            issued.cert_chain_pems[0].write_to_path(str(cert))
            issued.private_key_pem.write_to_path(str(key))
        return str(cert), str(key)

    def context(self, client_id: str) -> ssl.SSLContext:
        """What an HTTP client needs to talk to such a server as this client."""
        made = ssl.create_default_context(cafile=self.ca_file)
        made.load_cert_chain(*self.files(client_id))
        return made
