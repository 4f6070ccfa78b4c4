"""A gRPC server over TLS that accepts a call with a valid token, for the tests of gRPC clients."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from trustme import CA

HOST = "localhost"


class Rates:
    """`Get` answers with the rate of a currency; `Watch` streams as many rates as there are bytes in the request.

    Attributes:
        target: Where it listens.
        authorizations: The metadata `authorization` of each call so far.
    """

    target: str

    def __init__(self, accepts: Callable[[str | None], bool]) -> None:
        self.authorizations: list[str | None] = []
        self._accepts = accepts

    def check(self, context: Any) -> None:
        """End a call without a valid token."""
        import grpc

        authorization = dict(context.invocation_metadata()).get("authorization")
        self.authorizations.append(authorization)
        if not self._accepts(authorization):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "rejected")

    def get(self, request: bytes, context: Any) -> bytes:
        """One rate."""
        self.check(context)
        return request + b" 1.08"

    def watch(self, request: bytes, context: Any) -> Iterator[bytes]:
        """A stream of rates."""
        self.check(context)
        for _ in request:
            yield b"1.08"


@contextlib.contextmanager
def serving_rates(ca: CA | None, accepts: Callable[[str | None], bool]) -> Iterator[Rates]:
    """The service `acme.Rates` on a free port of this machine while the block is open; without a CA, in clear."""
    import grpc

    rates = Rates(accepts)
    methods = {
        "Get": grpc.unary_unary_rpc_method_handler(rates.get),
        "Watch": grpc.unary_stream_rpc_method_handler(rates.watch),
    }
    with ThreadPoolExecutor(thread_name_prefix="rates") as workers:
        server = grpc.server(workers, handlers=[grpc.method_handlers_generic_handler("acme.Rates", methods)])
        if ca is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            issued = ca.issue_cert(HOST)
            pair = (issued.private_key_pem.bytes(), b"".join(part.bytes() for part in issued.cert_chain_pems))
            port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        rates.target = f"{HOST}:{port}"
        server.start()
        try:
            yield rates
        finally:
            server.stop(grace=None).wait()
