"""A certificate authority for one run of a sandbox, and what it issues.

Used by `blnk-auth sandbox --tls`. It promises that the authority's key exists in memory only, and that what it issues
is for this machine: a name constraint permits loopback names alone, so trusting it endangers nothing else. It never
writes a file that outlives the call.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK_NAMES = ("localhost",)
LOOPBACK_ADDRESSES = ("127.0.0.1", "::1")

_DAYS = 90


class CertificateAuthority:
    """Issues certificates for servers on loopback and for clients. Each run makes a new one, for 90 days.

    Attributes:
        pem: Its certificate as PEM: the file for `verify=` and SSL_CERT_FILE.
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("blnk-auth sandbox: for this machine and this run only")
        networks = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]
        permitted = [x509.DNSName("localhost"), *map(x509.IPAddress, networks)]
        certificate = (
            _lasting(x509.CertificateBuilder().subject_name(self._name).issuer_name(self._name))
            .public_key(self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.NameConstraints(permitted, None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem: bytes = certificate.public_bytes(Encoding.PEM)

    def server_context(self) -> ssl.SSLContext:
        """For a server on loopback that asks its clients for a certificate, and does not require one."""
        names = [x509.DNSName(name) for name in LOOPBACK_NAMES]
        addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in LOOPBACK_ADDRESSES]
        pem = self._issue("localhost", ExtendedKeyUsageOID.SERVER_AUTH, [*names, *addresses])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as directory:
            # OpenSSL reads keys from files only; this directory is for this user alone.
            file = Path(directory) / "server.pem"
            file.write_bytes(pem)
            context.load_cert_chain(file)
        context.load_verify_locations(cadata=self.pem.decode("ascii"))
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def client_pem(self, client_id: str) -> bytes:
        """The certificate of a client, whose common name is its id, and its key."""
        return self._issue(client_id, ExtendedKeyUsageOID.CLIENT_AUTH, [])

    def _issue(self, common_name: str, usage: x509.ObjectIdentifier, names: list[x509.GeneralName]) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        issued = (
            _lasting(x509.CertificateBuilder().subject_name(_named(common_name)).issuer_name(self._name))
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names:
            issued = issued.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = issued.sign(self._key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM) + private


def _lasting(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    # A day earlier, for a clock that is behind, as in a virtual machine.
    begins, ends = now - datetime.timedelta(days=1), now + datetime.timedelta(days=_DAYS)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )
