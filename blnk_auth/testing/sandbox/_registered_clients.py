"""The clients that an authorization server knows.

Used by the authorization server and by the endpoints that ask who a client is. It promises that the oldest are
forgotten where there are too many, and may be used from any thread. It never knows a grant.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable

from ._issued import OAuthError, RegisteredClient

_MOST_CLIENTS = 10_000


class RegisteredClients:
    """Clients by their ids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[str, RegisteredClient] = {}

    def add(self, client: RegisteredClient) -> None:
        """Add a client, or replace the one of the same id."""
        with self._lock:
            self._clients[client.client_id] = client
            if len(self._clients) > _MOST_CLIENTS:
                del self._clients[next(iter(self._clients))]

    def remove(self, unwanted: Callable[[str], bool]) -> None:
        """Remove those whose id is unwanted."""
        with self._lock:
            self._clients = {name: client for name, client in self._clients.items() if not unwanted(name)}

    def find(self, client_id: str) -> RegisteredClient | None:
        """The registered client of that id, or None."""
        with self._lock:
            return self._clients.get(client_id)

    def authenticate(self, client_id: str, client_secret: str) -> RegisteredClient:
        """The client with this id and secret; otherwise `invalid_client`."""
        client = self.find(client_id)
        if client is None or not hmac.compare_digest(client.client_secret.encode(), client_secret.encode()):
            raise OAuthError("invalid_client", "Client authentication failed")
        return client
