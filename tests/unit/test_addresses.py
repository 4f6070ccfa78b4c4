"""Which addresses the servers of a resource may have: as tables, without a network."""

from __future__ import annotations

import socket
from typing import Any, cast

import pytest
from support.errors import raises

from blnk_auth import ConfigurationError
from blnk_auth._transport.addresses import AddressRule, Reach, reach_of

RESOURCE = "https://api.test/mcp"
SERVER = "https://as.test/token"


class Connection:
    """A connection to an address; the rule asks it for nothing else."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.is_closed = False

    def getpeername(self) -> tuple[str, int]:
        return self.address, 443

    def close(self) -> None:
        self.is_closed = True


def connect(rule: AddressRule, url: str, address: str, *, answers: bool = True) -> Connection:
    connection = Connection(address)
    check = rule.check_for(url)
    check.judge(cast("socket.socket", connection))
    if answers:
        check.answered()
    return connection


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("93.184.216.34", "public"),
        ("2606:2800:220:1:248:1893:25c8:1946", "public"),
        ("127.0.0.1", "private"),
        ("127.8.8.8", "private"),
        ("::1", "private"),
        ("0.0.0.0", "private"),
        ("::", "private"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("198.18.0.1", "private"),
        ("255.255.255.255", "private"),
        ("fd00::1", "private"),
        ("::ffff:10.0.0.1", "private"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b::93.184.216.34", "public"),
        ("2002:0a00:0001::", "private"),
        ("169.254.169.254", "link_local"),
        ("fe80::1", "link_local"),
        ("fe80::1%eth0", "link_local"),
        ("::ffff:169.254.169.254", "link_local"),
        ("64:ff9b::a9fe:a9fe", "link_local"),
        ("224.0.0.1", "link_local"),
        ("ff02::1", "link_local"),
        ("", "link_local"),
        ("/run/some.socket", "link_local"),
    ],
)
def test_from_where_an_address_can_be_reached(address: str, reach: Reach) -> None:
    """Also in the forms in which IPv6 writes an IPv4 address."""
    assert reach_of(address) == reach


@pytest.mark.parametrize("own", ["93.184.216.34", "10.0.0.1", "169.254.1.1"])
@pytest.mark.parametrize("other", ["93.184.216.34", "10.0.0.2", "127.0.0.1", "169.254.169.254"])
def test_another_server_is_not_nearer_than_the_resource(own: str, other: str) -> None:
    """A resource with a private address may name servers with one; nobody reaches a link by it."""
    rule = AddressRule(RESOURCE)
    connect(rule, RESOURCE, own)
    order = ("public", "private", "link_local")
    if order.index(reach_of(other)) <= order.index(reach_of(own)):
        assert not connect(rule, SERVER, other).is_closed
    else:
        check, connection = rule.check_for(SERVER), Connection(other)
        with raises(ConfigurationError, shows=("https://as.test", other)):
            check.judge(cast("socket.socket", connection))
        assert connection.is_closed


def test_the_resource_has_a_private_address_only_once_it_has_answered() -> None:
    """Its owner can give any address for its name, but cannot answer there with its certificate."""
    rule = AddressRule(RESOURCE)
    connect(rule, RESOURCE, "10.0.0.1", answers=False)
    with raises(ConfigurationError):
        connect(rule, SERVER, "10.0.0.2")


def test_a_server_that_has_answered_changes_nothing() -> None:
    """Only the resource's own host counts."""
    rule = AddressRule(RESOURCE, "private")
    connect(rule, SERVER, "93.184.216.34")
    assert rule.reach == "private"


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/token",
        "https://[fd00::1]/token",
        "https://[::ffff:10.0.0.1]/token",
        "https://169.254.169.254/latest/meta-data",
        "https://127.1/token",
        "https://0x7f000001/token",
        "https://2130706433/token",
        "https://017700000001/token",
        "http://127.0.0.1:8080/token",
    ],
)
def test_an_address_in_the_url_is_refused_before_any_connection(url: str) -> None:
    """In every form that resolvers read: a proxy would connect to it."""
    with raises(ConfigurationError):
        AddressRule(RESOURCE).check_for(url)
    AddressRule(RESOURCE, "link_local").check_for(url)


def test_a_name_that_begins_with_a_digit_is_a_name() -> None:
    """It is judged when it is connected to."""
    AddressRule(RESOURCE).check_for("https://1password.test/token")


def test_a_connection_that_has_ended_is_left_alone() -> None:
    """The exchange fails by itself."""

    class Ended(Connection):
        def getpeername(self) -> Any:
            raise OSError

    AddressRule(RESOURCE).check_for(SERVER).judge(cast("socket.socket", Ended("")))
