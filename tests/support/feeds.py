"""A websocket server that accepts a handshake with a valid token, for the tests of websocket clients.

To a client that offers the subprotocol `graphql-transport-ws` it is a GraphQL server.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

POLICY_VIOLATION = 1008
GRAPH = "graphql-transport-ws"


class Feed:
    """Each connection gets its number as a message; then it answers what it receives, until it is closed.

    Attributes:
        url: The address of the websocket; `origin` is the same without a path.
        handshakes: The Authorization header of each handshake so far.
        closes: Whether the server closes each connection after its first message, as if its token had expired.
    """

    origin: str
    url: str

    def __init__(self, accepts: Callable[[str | None], bool]) -> None:
        self.handshakes: list[str | None] = []
        self.closes = False
        self._accepts = accepts
        self._connections = 0

    def check(self, connection: Any, request: Any) -> Any:
        """What the handshake is answered with; None accepts it."""
        authorization = request.headers.get("Authorization")
        self.handshakes.append(authorization)
        if self._accepts(authorization):
            return None
        response = connection.respond(HTTPStatus.UNAUTHORIZED, "rejected\n")
        response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return response

    def serve(self, connection: Any) -> None:
        """One connection that was accepted."""
        self._connections += 1
        if connection.subprotocol is not None:
            self._serve_graph(connection)
            return
        connection.send(str(self._connections))
        if self.closes:
            connection.close(POLICY_VIOLATION, "the token has expired")
        for message in connection:
            connection.send(message)

    def _serve_graph(self, connection: Any) -> None:
        """One result for each subscription, with the number of the connection; then the subscription is complete."""
        for message in map(json.loads, connection):
            if message["type"] == "connection_init":
                connection.send(json.dumps({"type": "connection_ack"}))
            elif message["type"] == "subscribe":
                result = {"type": "next", "id": message["id"], "payload": {"data": {"feed": self._connections}}}
                connection.send(json.dumps(result))
                connection.send(json.dumps({"type": "complete", "id": message["id"]}))


def _graph_or_none(_connection: Any, offered: Sequence[Any]) -> Any:
    return GRAPH if GRAPH in offered else None


@contextlib.contextmanager
def serving_feed(accepts: Callable[[str | None], bool], *, closes: bool = False) -> Iterator[Feed]:
    """A feed on a free port of this machine, for as long as the block is open."""
    from websockets.sync.server import serve

    feed = Feed(accepts)
    feed.closes = closes
    with serve(feed.serve, "127.0.0.1", 0, process_request=feed.check, select_subprotocol=_graph_or_none) as server:
        feed.origin = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        feed.url = f"{feed.origin}/feed"
        thread = threading.Thread(target=server.serve_forever, name="feed", daemon=True)
        thread.start()
        try:
            yield feed
        finally:
            server.shutdown()
            thread.join()
