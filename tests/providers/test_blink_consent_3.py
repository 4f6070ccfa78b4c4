"""bLink's Consent 3.0 and its permission mode: what `BLink` makes of them, and what is sent."""

from __future__ import annotations

from typing import Any

import pytest
from support.errors import raises
from support.providers import USER_AGENT

from blnk_auth import BLink, Call, ConfigurationError, Provider
from blnk_auth.provider import Purpose
from blnk_auth.providers import blink_permission_url

BASE = "https://api-qa.np.six-group.com/api/consent/v3"
CALL = Call("api", "alice", target="IIDX99999")
PSU = {"X-PSU-IP-Address", "X-PSU-User-Agent"}
ALWAYS = {"X-Correlation-ID", "X-CorAPI-Target-ID", "User-Agent"}


def provider(**settings: Any) -> Provider:
    usual: dict[str, Any] = {"base_url": BASE, "target_id": "IIDX99999", "user_agent": USER_AGENT, "username": "alice"}
    return BLink(**{**usual, **settings})


# --- Consent 3.0 ------------------------------------------------------------------------------------------------------


TWO: dict[str, Any] = {
    "pushed_authorization_request_endpoint": None,
    "requires_pushed_authorization_requests": False,
    "grant_management_actions": (),
    "pkce": False,
}
THREE: dict[str, Any] = {
    "pushed_authorization_request_endpoint": f"{BASE}/oauth/par",
    "requires_pushed_authorization_requests": True,
    "grant_management_actions": ("create", "merge", "replace"),
    "pkce": True,
}
PUSH = "https://six.test/as/push"


@pytest.mark.parametrize(
    ("settings", "expected", "parameters"),
    [
        pytest.param({}, TWO, {"username": "alice"}, id="by default"),
        pytest.param({"consent": "2.0"}, TWO, {"username": "alice"}, id="2.0"),
        pytest.param({"consent": "3.0"}, THREE, {}, id="3.0, by a guess"),
        pytest.param({"consent": "3.0", "username": None}, THREE, {}, id="3.0, without a username"),
        pytest.param(
            {"consent": "3.0", "pushed_authorization_request_endpoint": PUSH},
            {**THREE, "pushed_authorization_request_endpoint": PUSH},
            {},
            id="3.0, as given at onboarding",
        ),
    ],
)
def test_what_differs_between_the_versions_of_consent(
    settings: dict[str, Any], expected: dict[str, Any], parameters: dict[str, str]
) -> None:
    """PAR and PKCE are mandatory in 3.0, a grant is named by its id, and no username is sent."""
    made = provider(**settings)
    assert {name: getattr(made, name) for name in expected} == expected
    purposes: tuple[Purpose, ...] = ("authorization_code", "refresh_token")
    for purpose in purposes:
        assert made.token_parameters_of(CALL._replace(purpose=purpose), reserved=()) == parameters


def test_the_versions_share_what_they_have_in_common() -> None:
    """Above all the name and the environment, which are in the store key: a user stays signed in after the change."""
    two, three = provider(), provider(consent="3.0")
    for setting in ("name", "environment", "token_endpoint", "revocation_endpoint", "api_origins", "grants"):
        assert getattr(two, setting) == getattr(three, setting), setting
    assert {*two.token_headers_of(CALL)} == {*three.token_headers_of(CALL)} == ALWAYS | PSU


@pytest.mark.parametrize(
    ("parameter", "settings"),
    [
        ("pushed_authorization_request_endpoint", {"pushed_authorization_request_endpoint": f"{BASE}/oauth/par"}),
        (
            "pushed_authorization_request_endpoint",
            {"consent": "3.0", "pushed_authorization_request_endpoint": "http://six.test/par"},
        ),
        (
            "pushed_authorization_request_endpoint",
            {"consent": "3.0", "pushed_authorization_request_endpoint": "six.test/par"},
        ),
        ("base_url", {"consent": "3.0", "base_url": f"{BASE}/oauth/par"}),
        ("consent", {"consent": 3.0}),
        ("instance_id", {"instance_id": "i" * 65}),
        ("instance_id", {"instance_id": ""}),
        ("instance_id", {"instance_id": "one\r\nX-Evil: 1"}),
        ("instance_id", {"instance_id": 7}),
        ("permission_mode", {"permission_mode": "yes"}),
        ("psu_headers_for_api", {"permission_mode": True, "psu_headers_for_api": False}),
        ("psu_ip_address", {"permission_mode": True, "psu_ip_address": ""}),
        ("psu_user_agent", {"permission_mode": True, "psu_user_agent": None}),
    ],
)
def test_bad_input_is_named_immediately(parameter: str, settings: dict[str, Any]) -> None:
    """Before any request, by the argument that is wrong."""
    with raises(ConfigurationError, parameter=parameter):
        provider(**settings)


# --- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "token", "api"),
    [
        pytest.param({}, ALWAYS | PSU, ALWAYS | PSU, id="by default"),
        pytest.param({"psu_headers_for_api": False}, ALWAYS | PSU, ALWAYS, id="a module without PSU headers"),
        pytest.param({"permission_mode": True}, ALWAYS | PSU, ALWAYS | PSU, id="permission mode"),
        pytest.param(
            {"instance_id": "i" * 64, "psu_headers_for_api": False},
            ALWAYS | PSU | {"X-Instance-ID"},
            ALWAYS | {"X-Instance-ID"},
            id="an instance at a customer",
        ),
    ],
)
def test_which_headers_each_call_has(settings: dict[str, Any], token: set[str], api: set[str]) -> None:
    """Those that the client modules require are there unless they are switched off, and never without a value."""
    made = provider(**settings)
    assert {*made.token_headers_of(CALL)} == token
    assert {*made.api_headers_of(CALL)} == api
    assert all({**made.token_headers_of(CALL), **made.api_headers_of(CALL)}.values())


@pytest.mark.parametrize("returned", ["", None, 7, "203.0.113.7\r\nX-Evil: 1"], ids=repr)
@pytest.mark.parametrize("parameter", ["psu_ip_address", "psu_user_agent"])
@pytest.mark.parametrize("permission_mode", [False, True])
def test_a_required_header_without_a_value_is_an_error(parameter: str, returned: Any, permission_mode: bool) -> None:
    """A web application whose callable finds no user address learns so before bLink refuses the request."""
    made = provider(permission_mode=permission_mode, **{parameter: lambda call: returned})
    with raises(ConfigurationError, parameter=parameter):
        made.api_headers_of(CALL)


# --- permissions ------------------------------------------------------------------------------------------------------


def test_in_permission_mode_no_username_is_needed_and_no_token_is_asked_for() -> None:
    """The tokens are bLink's: there is nothing that the client could ask the token endpoint for."""
    made = provider(permission_mode=True, username=None, authorization_endpoint="https://bank.test/authorize")
    assert (made.grants, made.authorization_endpoint) == ((), None)


@pytest.mark.parametrize(
    ("user_id", "target_id", "url"),
    [
        ("alice", "IIDX99999", f"{BASE}/permissions/IIDX99999/alice"),
        ("A-1.b", "IIDX99999", f"{BASE}/permissions/IIDX99999/A-1.b"),
        ("u" * 250, "IIDX99999", f"{BASE}/permissions/IIDX99999/{'u' * 250}"),
        ("alice", "II/DX?", f"{BASE}/permissions/II%2FDX%3F/alice"),
    ],
)
def test_where_a_permission_is_created(user_id: str, target_id: str, url: str) -> None:
    """`POST /permissions/{providerId}/{userId}`."""
    assert blink_permission_url(f"{BASE}/", target_id=target_id, user_id=user_id) == url


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(
            ("user_id", value)
            for value in ("", "u" * 251, ".", "..", "alice@acme", "alice/..", "a b", "zoë", "alice\n", None, 7)
        ),
        *(("target_id", value) for value in ("", "II\nDX", None)),
        *(("base_url", value) for value in ("six.test", f"{BASE}?x=1", None)),
    ],
    ids=repr,
)
def test_a_user_that_blink_would_refuse_is_named(parameter: str, value: Any) -> None:
    """Letters, digits, hyphens and dots, up to 250: an e-mail address is refused, and nothing is added to the path."""
    given: dict[str, Any] = {"base_url": BASE, "target_id": "IIDX99999", "user_id": "alice", parameter: value}
    with raises(ConfigurationError, parameter=parameter):
        blink_permission_url(given.pop("base_url"), **given)
