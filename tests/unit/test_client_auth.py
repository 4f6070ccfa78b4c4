"""What a client proves itself with: refused early if it cannot work, asked afresh if it may change, never shown.

What each method sends is in test_requests.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.canary.leaks import leaks
from support.errors import raises

from blnk_auth._protocol.client_authentication import ClientCredentials
from blnk_auth.errors import ConfigurationError


@pytest.mark.parametrize("client_id", ["", " ", None, 7])
def test_an_empty_client_id_is_named(client_id: Any) -> None:
    """The commonest mistake: an unset environment variable."""
    with raises(ConfigurationError, parameter="client_id"):
        ClientCredentials(client_id, "s3cret", "client_secret_basic")


@pytest.mark.parametrize("secret", ["", None])
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_missing_secret_is_named_with_the_way_out(method: str, secret: Any) -> None:
    """A public client has to be declared as one."""
    with raises(ConfigurationError, parameter="client_secret"):
        ClientCredentials("id", secret, method)


def test_an_unknown_method_is_named_with_the_known_ones() -> None:
    """The registered names are listed."""
    with raises(ConfigurationError, parameter="client_auth"):
        ClientCredentials("id", "s3cret", "basic")  # type: ignore[arg-type]


@pytest.mark.parametrize("returned", [None, "", b"bytes", 7])
def test_a_callable_that_returns_no_secret_is_named(returned: Any) -> None:
    """At the request that needs it, since it may change."""
    with raises(ConfigurationError, parameter="client_secret"):
        ClientCredentials("id", lambda: returned, "client_secret_basic").secret()


@pytest.mark.parametrize(
    "secret",
    [
        "s3cret-of-client\n",
        "s3cret-of-client\r\n",
        "\ts3cret-of-client",
        "s3cret\x00of-client",
        "s3cret-of-client\x7f",
        "s3cret-of-client\ud800",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("given_as", ["text", "callable"])
def test_a_secret_with_a_line_break_is_refused(secret: str, given_as: str) -> None:
    """RFC 6749 section A.2. A secret that is read from a file often ends so, and the server only answers
    `invalid_client`.
    """
    given = secret if given_as == "text" else lambda: secret
    with raises(ConfigurationError, parameter="client_secret") as caught:
        ClientCredentials("id", given, "client_secret_basic").prove(audience="", now=0.0)
    assert caught.value.remedy
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "given"),
    [
        ("client_assertion", {"client_assertion": "eyJ.s3cret.text"}),
        ("client_assertion", {"client_assertion": lambda: "", "private_key": "pem"}),
        ("client_auth", {"client_assertion": lambda: "", "method": "client_secret_basic"}),
        ("client_auth", {"client_assertion": lambda: "", "method": "none"}),
    ],
    ids=["a text", "with a key", "with Basic", "with none"],
)
def test_an_assertion_from_elsewhere_is_a_callable_and_the_only_proof(parameter: str, given: dict[str, Any]) -> None:
    """A text would expire while the client exists, and RFC 6749 section 2.3 forbids a second method."""
    with raises(ConfigurationError, parameter=parameter) as caught:
        ClientCredentials("id", "s3cret", given.pop("method", "private_key_jwt"), **given)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "returned",
    [None, b"eyJ.s3cret", "", "eyJ.s3cret\n", "eyJ.s3cret ", "eyJ.s3\ncret", "eyJ.s3cret\u00e9", "s3cret" * 20_000],
    ids=["None", "bytes", "empty", "line break", "space", "two lines", "not ASCII", "too long"],
)
def test_what_cannot_be_an_assertion_is_refused_before_it_is_sent(returned: Any) -> None:
    """What is read from a file often ends in a line break, and the server would only answer `invalid_client`."""
    credentials = ClientCredentials("id", None, "private_key_jwt", client_assertion=lambda: returned)
    with raises(ConfigurationError, parameter="client_assertion") as caught:
        credentials.prove(audience="", now=0.0)
    assert "s3cret" not in str(caught.value)


def test_a_callable_is_asked_each_time_and_never_early() -> None:
    """Rotation needs no restart, and making a client costs no look-up."""
    asked: list[int] = []

    def secret() -> str:
        asked.append(1)
        return f"s{len(asked)}"

    credentials = ClientCredentials("id", secret, "client_secret_basic")
    assert asked == []
    assert [credentials.secret(), credentials.secret()] == ["s1", "s2"]


@pytest.mark.parametrize("secret", ["s3cret-of-client", lambda: "s3cret-of-client"])
def test_credentials_show_no_secret(secret: str | Callable[[], str]) -> None:
    """Both repr and str show the id and the method only."""
    credentials = ClientCredentials("id", secret, "client_secret_basic")
    assert leaks([repr(credentials), str(credentials)], ["s3cret-of-client"]) == []
    assert "'id'" in repr(credentials)
