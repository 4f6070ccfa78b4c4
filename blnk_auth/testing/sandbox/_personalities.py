"""Makes the personality of a sandbox by its name.

Used by `Sandbox`. It promises an error that lists the names. A personality never knows of another one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from ._authorization_server import AuthorizationServer
from ._blink import BLink
from ._blnk_cloud import BlnkCloud
from ._device import DeviceGrant
from ._extensions import Extension
from ._flinks import Flinks
from ._managed_grants import ManagedGrants
from ._mcp import MCP

PersonalityName = Literal["blnk_cloud", "blink", "flinks", "mcp"]

Personality = BlnkCloud | BLink | Flinks | MCP


@dataclass(frozen=True, slots=True)
class Parts:
    """What a sandbox has for its personality, as each class describes it. `has_tls`: whether it uses TLS.

    `on_issue` is called with the kind and the value of each secret that a client gets.
    """

    server: AuthorizationServer
    origin: Callable[[], str]
    count: Callable[[str], None]
    clock: Callable[[], float]
    device_grant: DeviceGrant | None
    extensions: Collection[Extension]
    grants: ManagedGrants
    has_tls: bool
    is_public: bool
    on_issue: Callable[[str, str], object]

    def make(self, name: PersonalityName) -> Personality:
        """The personality of this name. Raises `ValueError` if there is none, or if it has no device grant."""
        if name == "blnk_cloud":
            return BlnkCloud(
                self.server,
                origin=self.origin,
                count=self.count,
                clock=self.clock,
                device_grant=self.device_grant,
                extensions=self.extensions,
                grants=self.grants,
                is_public=self.is_public,
            )
        if self.device_grant is not None:
            raise ValueError(f"device_grant is for the personality 'blnk_cloud' only, not {name!r}")
        if name == "blink":
            return BLink(
                self.server,
                demands_certificate=self.has_tls,
                count=self.count,
                clock=self.clock,
                grants=self.grants,
                extensions=self.extensions,
            )
        if name == "flinks":
            return Flinks(self.server, origin=self.origin, count=self.count)
        if name == "mcp":
            return MCP(self.server, origin=self.origin, count=self.count, clock=self.clock, on_issue=self.on_issue)
        raise ValueError(f"personality must be 'blnk_cloud', 'blink', 'flinks' or 'mcp', not {name!r}")
