"""What a sign-in may ask for: each argument as it is sent, and each that cannot work."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from support.errors import raises
from support.providers import acme
from support.scripted import ScriptedWorld

from blnk_auth import AuthorizationRequest, ConfigurationError

DETAILS = {"type": "account_information", "actions": ["read_balances"], "locations": ["https://api.acme.test"]}


def sent(start: AuthorizationRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(start.url).query))


def asked(world: ScriptedWorld | None = None, **arguments: Any) -> dict[str, str]:
    """The parameters of the authorization request with these arguments, without those of every request."""
    world = ScriptedWorld() if world is None else world
    usual = sent(world.client.start_authorization("alice")).keys()
    parameters = sent(world.client.start_authorization("alice", **arguments))
    return {name: value for name, value in parameters.items() if name not in usual}


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({"prompt": "login"}, {"prompt": "login"}),
        ({"prompt": ["login", "consent"]}, {"prompt": "login consent"}),
        ({"prompt": "none"}, {"prompt": "none"}),
        ({"prompt": ""}, {}),
        ({"login_hint": "alice@example.com"}, {"login_hint": "alice@example.com"}),
        ({"acr_values": "urn:a urn:b"}, {"acr_values": "urn:a urn:b"}),
        ({"acr_values": ("urn:a", "urn:b")}, {"acr_values": "urn:a urn:b"}),
        ({"max_age": 0}, {"max_age": "0"}),
        ({"max_age": 300.0}, {"max_age": "300"}),
        ({"grant_management_action": "create"}, {"grant_management_action": "create"}),
        (
            {"grant_management_action": "merge", "grant_id": "g-1"},
            {"grant_management_action": "merge", "grant_id": "g-1"},
        ),
        (
            {"grant_management_action": "replace", "grant_id": "g-1"},
            {"grant_management_action": "replace", "grant_id": "g-1"},
        ),
        ({"resource": "https://api.acme.test"}, {"resource": "https://api.acme.test"}),
        ({"parameters": {"ui_locales": "de-CH"}, "max_age": 1}, {"ui_locales": "de-CH", "max_age": "1"}),
        (dict.fromkeys(("prompt", "login_hint", "acr_values", "max_age", "claims", "authorization_details")), {}),
    ],
    ids=repr,
)
def test_arguments_become_parameters(arguments: dict[str, Any], parameters: dict[str, str]) -> None:
    """By the names of their specifications; what is None is not sent."""
    assert asked(**arguments) == parameters


@pytest.mark.parametrize(
    "details",
    [
        DETAILS,
        [DETAILS],
        (DETAILS, {"type": "payment", "amount": {"value": "1.50", "currency": "CHF"}}),
        [{"type": "ä"}],
    ],
    ids=repr,
)
def test_authorization_details_are_one_json_array(details: Any) -> None:
    """RFC 9396 section 2: "an array of JSON objects". A single one needs no list."""
    expected = [details] if isinstance(details, dict) else list(details)
    assert json.loads(asked(authorization_details=details)["authorization_details"]) == expected


def test_claims_are_one_json_object() -> None:
    """OpenID Connect Core section 5.5."""
    claims = {"userinfo": {"given_name": {"essential": True}, "nickname": None}}
    assert json.loads(asked(claims=claims)["claims"]) == claims


def test_later_changes_of_what_was_passed_have_no_effect() -> None:
    """It is written when it is checked."""
    details: list[dict[str, Any]] = [{"type": "payment"}]
    world = ScriptedWorld()
    start = world.client.start_authorization("alice", authorization_details=details)
    details[0]["type"] = "other"
    assert json.loads(sent(start)["authorization_details"]) == [{"type": "payment"}]


def _circular() -> dict[str, Any]:
    made: dict[str, Any] = {"type": "payment"}
    made["itself"] = made
    return made


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        *(
            ({"authorization_details": details}, "authorization_details")
            for details in (
                "payment",
                '[{"type": "payment"}]',
                b"[]",
                [],
                (),
                7,
                {},
                [{}],
                ["payment"],
                [DETAILS, {"actions": ["read"]}],
                {"type": ""},
                {"type": 7},
                {"type": "\ud800"},
                {"type": "payment", "amount": float("nan")},
                {"type": "payment", "when": object()},
                {"type": "payment", 7: "x"},
                {"type": "payment", "creditor": "x" * 70_000},
                _circular(),
                {DETAILS["type"]},
            )
        ),
        ({"claims": "{}"}, "claims"),
        ({"claims": [{}]}, "claims"),
        ({"claims": {"id_token": {1}}}, "claims"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "none login"}, "prompt"),
        ({"prompt": ["none", "consent"]}, "prompt"),
        ({"login_hint": ""}, "login_hint"),
        ({"login_hint": 7}, "login_hint"),
        ({"login_hint": "\ud800"}, "login_hint"),
        ({"login_hint": "alice\r\nbob"}, "login_hint"),
        ({"login_hint": "a" * 4097}, "login_hint"),
        ({"acr_values": {"urn:a"}}, "acr_values"),
        ({"acr_values": [None]}, "acr_values"),
        ({"max_age": -1}, "max_age"),
        ({"max_age": 0.5}, "max_age"),
        ({"max_age": "300"}, "max_age"),
        ({"max_age": True}, "max_age"),
        ({"max_age": float("inf")}, "max_age"),
        # Grant Management for OAuth 2.0, section 5.2
        ({"grant_id": "g-1"}, "grant_management_action"),
        ({"grant_management_action": "create", "grant_id": "g-1"}, "grant_id"),
        ({"grant_management_action": "merge"}, "grant_id"),
        ({"grant_management_action": "replace"}, "grant_id"),
        ({"grant_management_action": "replace", "grant_id": ""}, "grant_id"),
        ({"grant_management_action": "merge", "grant_id": 7}, "grant_id"),
        ({"grant_management_action": "merge", "grant_id": "g-1\0"}, "grant_id"),
        ({"grant_management_action": "merge", "grant_id": "g" * 1_000_000}, "grant_id"),
        ({"grant_management_action": "update", "grant_id": "g-1"}, "grant_management_action"),
        ({"grant_management_action": "revoke", "grant_id": "g-1"}, "grant_management_action"),
        ({"grant_management_action": ["merge"], "grant_id": "g-1"}, "grant_management_action"),
        # Twice in one request
        ({"prompt": "login", "parameters": {"prompt": "consent"}}, "parameters"),
        ({"resource": "https://api.acme.test", "parameters": {"resource": "https://other.test"}}, "parameters"),
        ({"authorization_details": DETAILS, "parameters": {"authorization_details": "[]"}}, "parameters"),
        # Never in a URL
        ({"parameters": {"client_secret": "s3cret"}}, "parameters"),
        ({"parameters": {"client_assertion": "a.b.c"}}, "parameters"),
        # The library's own
        ({"parameters": {"dpop_jkt": "a"}}, "parameters"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_cannot_work_is_named_before_anybody_is_sent_anywhere(arguments: dict[str, Any], parameter: str) -> None:
    """Nothing is stored and nothing is sent; the error names the argument."""
    world = ScriptedWorld()
    with raises(ConfigurationError, parameter=parameter):
        world.client.start_authorization("alice", **arguments)
    with raises(ConfigurationError, parameter=parameter):
        world.client.authorize_interactively("alice", pasted=(), on_url=print, **arguments)
    assert world.store.texts == {}
    assert world.server.requests == []


@pytest.mark.parametrize(
    ("lists", "arguments", "parameter"),
    [
        ({"grant_management_actions": ("create", "query")}, {"grant_management_action": "create"}, None),
        (
            {"grant_management_actions": ("create", "query")},
            {"grant_management_action": "merge", "grant_id": "g"},
            "grant_management_action",
        ),
        (
            {"grant_management_actions": ("query", "revoke")},
            {"grant_management_action": "create"},
            None,
        ),
        ({"grant_management_actions": ("update",)}, {"grant_management_action": "update", "grant_id": "g"}, None),
        ({"grant_management_actions": ("update",)}, {"grant_management_action": "update"}, "grant_id"),
        (
            {"grant_management_actions": ("query", "create")},
            {"grant_management_action": "query", "grant_id": "g"},
            "grant_management_action",
        ),
        ({"authorization_details_types": ("account_information",)}, {"authorization_details": DETAILS}, None),
        (
            {"authorization_details_types": ("payment",)},
            {"authorization_details": [{"type": "payment"}, DETAILS]},
            "authorization_details",
        ),
        ({}, {"authorization_details": {"type": "anything"}}, None),
    ],
    ids=repr,
)
def test_what_the_server_does_not_list_is_not_asked_for(
    lists: dict[str, Any], arguments: dict[str, Any], parameter: str | None
) -> None:
    """Metadata that lists actions or types is believed; a server without such a list is asked."""
    world = ScriptedWorld(acme(**lists))
    if parameter is None:
        assert asked(world, **arguments)
        return
    with raises(ConfigurationError, parameter=parameter):
        world.client.start_authorization("alice", **arguments)
    assert world.store.texts == {}


def test_an_argument_replaces_the_providers_own_parameter() -> None:
    """A provider's `authorization_parameters` are defaults."""
    world = ScriptedWorld(acme(authorization_parameters={"prompt": "consent", "access_type": "offline"}))
    parameters = sent(world.client.start_authorization("alice", prompt="login"))
    assert (parameters["prompt"], parameters["access_type"]) == ("login", "offline")
    assert sent(world.client.start_authorization("alice"))["prompt"] == "consent"
