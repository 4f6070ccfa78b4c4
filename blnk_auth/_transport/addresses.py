"""Which addresses may be connected to, where a server and not the user chose the URL.

Used by every exchange that concerns a protected resource: its metadata names URLs that nobody has checked, and one of
them may lead into the network of this machine (server-side request forgery, RFC 9728 section 7.7). What this file
promises:

* The address that is judged is that of the connection, before anything is sent on it. No name is looked up beforehand:
  a second look-up could give another address.
* An address that is not public is refused, unless the host of the resource itself has such an address and has answered.
* A connection to a proxy is not judged: the proxy looks the name up. An address in the URL itself is judged always.

It never opens a connection, and never allows http.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Literal

from .._protocol.origins import Origin, endpoint_origin
from ..errors import ConfigurationError

Reach = Literal["public", "private", "link_local"]
"""From where an address can be reached: from everywhere; only from this machine or its network; only from its link.
Services that give credentials to a machine in a cloud have link-local addresses."""

_REACHES: tuple[Reach, ...] = ("public", "private", "link_local")

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses as IPv6 networks write them (RFC 6052 section 2.1)."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def reach_of(address: str) -> Reach:
    """From where an IP address can be reached. A text that is not an IP address counts as `link_local`."""
    try:
        ip = _without_tunnel(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return "link_local"
    if ip.is_link_local or ip.is_multicast:
        return "link_local"
    return "public" if ip.is_global else "private"


class AddressRule:
    """Which addresses the servers of one resource may have. May be used from any thread.

    Args:
        resource: The URL of the resource, which the user has named.
        reach: From where the resource's own host can be reached, if that is known from an earlier connection.
    """

    __slots__ = ("_origin", "reach")

    def __init__(self, resource: str, reach: Reach = "public") -> None:
        self._origin: Origin = endpoint_origin(resource, "url")
        self.reach: Reach = reach
        """From where the resource's own host can be reached. `public` until it has answered from another address."""

    def check_for(self, url: str) -> AddressCheck:
        """The check for one exchange. Raises `ConfigurationError` if `url` itself has an address that is refused."""
        origin = endpoint_origin(url, "url")
        check = AddressCheck(self, origin, is_own=origin == self._origin)
        check.judge_host()
        return check

    def permits(self, reach: Reach) -> bool:
        """Whether a server that is not the resource's own may be reached only from there."""
        return _REACHES.index(reach) <= _REACHES.index(self.reach)


class AddressCheck:
    """Judges the connections of one exchange. For the thread that connects."""

    __slots__ = ("_is_own", "_origin", "_reach", "_rule")

    def __init__(self, rule: AddressRule, origin: Origin, *, is_own: bool) -> None:
        self._rule = rule
        self._origin = origin
        self._is_own = is_own
        self._reach: Reach | None = None

    def judge_host(self) -> None:
        """Judge the URL's host, if it is an address: a proxy would connect to it. Raises `ConfigurationError`."""
        address = _address_in(self._origin.host)
        if address is not None:
            self._judge(address)

    def judge(self, connection: socket.socket) -> None:
        """Judge a connection that has just been opened, before TLS. Closes it, and raises, if it is refused."""
        try:
            address = str(connection.getpeername()[0])
            self._judge(address)
        except ConfigurationError:
            connection.close()
            raise
        except (OSError, IndexError):
            # It has ended already: the exchange fails by itself.
            return

    def answered(self) -> None:
        """To be called when the server has answered: now it is proved, by TLS, that the address is its own."""
        if self._is_own and self._reach is not None:
            self._rule.reach = self._reach

    def _judge(self, address: str) -> None:
        reach = reach_of(address)
        if self._is_own or self._rule.permits(reach):
            self._reach = reach
            return
        raise ConfigurationError(
            f"{self._origin} has the address {address}, which is not public, and the resource has a public one",
            remedy="report this to the operator of the resource: its metadata leads into a private network",
        )


def _address_in(host: str) -> str | None:
    """The IP address that a host is written as; None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        # The forms 127.1, 0x7f.0.0.1 and 2130706433 too, which many resolvers read as addresses.
        return socket.inet_ntoa(socket.inet_aton(host)) if host[:1].isdigit() else None
    except OSError:
        return None


def _without_tunnel(ip: _Address) -> _Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
