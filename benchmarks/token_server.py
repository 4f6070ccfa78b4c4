"""A token endpoint for very many grants, in a process of its own, which answers as fast as Python can.

Each refresh token may be used once; a second use is counted. It speaks just enough HTTP/1.1 for the clients measured
here, with or without TLS, and keeps connections open.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import itertools
import multiprocessing
import ssl
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Connection(asyncio.Protocol):
    """One connection: whole requests in, answers out."""

    serial: Iterator[int] = itertools.count(1)
    spent: set[str] = set()  # noqa: RUF012 - all connections of the process share it
    reused = 0

    def connection_made(self, transport: Any) -> None:
        self._transport, self._received = transport, b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            if len(self._received) < end + 4 + length:
                return
            body, self._received = self._received[end + 4 : end + 4 + length], self._received[end + 4 + length :]
            self._transport.write(self._answer(body.decode()))

    def _answer(self, body: str) -> bytes:
        if not body:
            text = str(Connection.reused)
        else:
            presented = parse_qs(body)["refresh_token"][0]
            Connection.reused += presented in self.spent
            self.spent.add(presented)
            number = next(self.serial)
            text = (
                f'{{"access_token": "access-{number:09}-{"a" * 82}", "refresh_token": "refresh-{number:09}-{"r" * 81}",'
                ' "token_type": "Bearer", "expires_in": 3600}'
            )
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        return (head + text).encode()


def _run(pipe: Any, files: tuple[str, str]) -> None:
    async def serve() -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*files)
        loop = asyncio.get_running_loop()
        servers = [
            await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024, ssl=context) for context in (None, tls)
        ]
        pipe.send([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.Event().wait()

    asyncio.run(serve())


def _certificate(directory: Path) -> tuple[str, str]:
    """A certificate for this machine, which is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(cert_file), str(key_file)


@contextlib.contextmanager
def running(directory: Path) -> Generator[tuple[str, str, str]]:
    """The server while the block lasts: its token endpoint, the same over TLS, and the file to verify that with."""
    files = _certificate(directory)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, files), daemon=True)
    process.start()
    try:
        plain, secure = ours.recv()
        yield f"http://127.0.0.1:{plain}/token", f"https://127.0.0.1:{secure}/token", files[0]
    finally:
        process.kill()
        process.join()
