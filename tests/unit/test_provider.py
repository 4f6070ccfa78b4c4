"""What a provider is: data that is checked when it is made."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any, get_type_hints

import pytest
from support.errors import raises
from support.providers import acme

from blnk_auth import ApiAnswer, BlnkCloud, Call, ConfigurationError, Flinks, OAuthClient, Provider, Token
from blnk_auth.provider import DiscoverySettings, ProviderSettings


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("name", ""),
        ("name", None),
        ("display_name", None),
        ("token_endpoint", ""),
        ("token_endpoint", "as.acme.test/token"),
        ("token_endpoint", "http://as.acme.test/token"),
        ("token_endpoint", None),
        ("authorization_endpoint", "http://as.acme.test/authorize"),
        ("authorization_endpoint", ""),
        ("authorization_endpoint", "https://as.acme.test/authorize#fragment"),
        ("authorization_endpoint", len),
        ("revocation_endpoint", "ftp://as.acme.test/"),
        ("api_origins", ()),
        ("api_origins", "https://api.acme.test"),
        ("api_origins", ("https://api.acme.test/v1",)),
        ("client_auth", "basic"),
        ("grants", ("password",)),
        ("grants", ("authorization_code", "implicit")),
        ("client_auth", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_setting_is_named_immediately(parameter: str, value: Any) -> None:
    """A typo in a provider is found where it is written and not at the first renewal."""
    with raises(ConfigurationError, parameter=parameter):
        acme(**{parameter: value})


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("api_origins", None),
        ("name", 7),
        ("name", "  "),
        ("basic_encoding", "RFC6749"),
        ("grants", ("client_credential",)),
        ("grants", "authorization_code"),
        ("issuer", 7),
        ("sends_iss", True),
        ("token_endpoint", "https://as.acme.test/token#fragment"),
        ("is_rejection", None),
        ("token_headers", None),
        ("token_headers", {"X": 1}),
        ("token_headers", {"X": "a\r\nY: 1"}),
        ("token_headers", {"X Y": "a"}),
        ("token_parameters", ["x"]),
        ("token_parameters", {"x": None}),
        ("token_parameters", {"x": "\ud800"}),
        ("api_headers", {"authorization": "x"}),
        ("api_headers", {"X": "é"}),
        ("authorization_parameters", None),
        ("authorization_parameters", {"state": "x"}),
        ("authorization_parameters", {"max_age": 0}),
        ("rejection_statuses", 401),
        ("correlation_header", 7),
        ("refresh_idle_lifetime", "30"),
        ("refresh_idle_lifetime", 0),
        ("client_auth_supported", "client_secret_basic"),
        ("assertion_algorithms", "PS256"),
        ("pkce", "no"),
        ("target", "x"),
        ("token_scheme", ""),
        ("token_scheme", "Zoho oauthtoken"),
        ("token_scheme", "Bearer:"),
        ("token_scheme", None),
        ("earliest_renewal", 0),
        ("earliest_renewal", "30"),
        ("earliest_renewal", float("nan")),
        ("repeats_lost_refresh", None),
        ("api_origins_from_token", "instance_url"),
        ("mtls_endpoint_aliases", {"authorization_endpoint": "https://mtls.acme.test/authorize"}),
        ("mtls_endpoint_aliases", {"token_endpoint": "http://mtls.acme.test/token"}),
        ("mtls_endpoint_aliases", None),
        ("refresh_idle_lifetime", float("inf")),
        ("revocation_advice", None),
        ("pushed_authorization_request_endpoint", "http://as.acme.test/par"),
        ("pushed_authorization_request_endpoint", 7),
        ("requires_pushed_authorization_requests", "yes"),
        ("authorization_details_types", "payment"),
        ("grant_management_actions", "create"),
        ("dpop_algorithms", "ES256"),
        ("dpop_algorithms", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_typo_in_a_setting_is_named_immediately(parameter: str, value: Any) -> None:
    """An encoding or a grant that does not exist would silently mean another."""
    with raises(ConfigurationError, parameter=parameter):
        acme(**{parameter: value})


@pytest.mark.parametrize(
    ("parameter", "value", "named"),
    [
        ("rejection_statuses", {200, 401}, "rejection_statuses"),
        ("api_origins_from_token", ("instance_url",), "api_host_suffixes"),
        ("api_host_suffixes", ("acme.test",), "api_origins_from_token"),
        ("requires_pushed_authorization_requests", True, "pushed_authorization_request_endpoint"),
    ],
)
def test_a_setting_that_needs_another_names_the_one_to_change(parameter: str, value: Any, named: str) -> None:
    """Every answer would be a rejection; a token would follow any server's word, or none."""
    with pytest.raises(ConfigurationError) as caught:
        acme(**{parameter: value})
    assert caught.value.parameter == named
    assert caught.value.remedy


@pytest.mark.parametrize("suffix", ["test", ".acme.test", "acme.test.", "Acme.test", "", "com", "äcme.test"])
def test_a_host_suffix_belongs_to_one_provider(suffix: str) -> None:
    """Anyone may register a name below one label."""
    with pytest.raises(ConfigurationError) as caught:
        acme(api_origins_from_token=("instance_url",), api_host_suffixes=(suffix,))
    assert caught.value.parameter == "api_host_suffixes"


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://eu1.acme.test", "https://eu1.acme.test"),
        ("https://EU1.acme.test:8443/services/v2?x=y", "https://eu1.acme.test:8443"),
        ("https://acme.test/", "https://acme.test"),
        ("http://eu1.acme.test", None),
        ("https://evilacme.test", None),
        ("https://acme.test.evil.test", None),
        ("https://evil.test/acme.test", None),
        ("https://evil.test#.acme.test", None),
        ("https://evil.test\\.acme.test", None),
        ("https://evil.test@eu1.acme.test", None),
        ("https://eu1.acme.test.", None),
        ("http://127.0.0.1:8080", None),
        ("https://127.0.0.1", None),
        ("https://[::1]", None),
        ("https://localhost", None),
        ("eu1.acme.test", None),
        ("", None),
        (None, None),
        (["https://eu1.acme.test"], None),
    ],
    ids=repr,
)
def test_an_origin_that_comes_with_a_token_is_below_the_hosts_of_the_provider(url: Any, allowed: str | None) -> None:
    """Only https, and never this machine; what is not such a URL is ignored, and the listed origins stay."""
    provider = acme(api_origins_from_token=("instance_url",), api_host_suffixes=("acme.test",))
    origins = provider.origins_for(Token("at", extra={"instance_url": url}))
    listed = {"https://api.acme.test", *([allowed] if allowed else [])}
    assert {str(origin) for origin in origins.listed} == listed


def test_discover_takes_every_setting_but_the_issuer() -> None:
    """What an editor offers for `discover` is what a `Provider` has."""
    hints = get_type_hints(Provider)
    settings = {each.name: hints[each.name] for each in dataclasses.fields(Provider) if each.init}
    offered = get_type_hints(DiscoverySettings)
    assert settings.keys() - offered.keys() == {"issuer"}
    assert offered == {name: hint for name, hint in settings.items() if name != "issuer"}
    assert get_type_hints(ProviderSettings).items() <= offered.items()


def test_a_provider_travels_in_a_pickle() -> None:
    """With the settings that differ from the default, by name, and the keys under which its tokens are stored."""
    made = acme(
        token_scheme="OAuth", mtls_endpoint_aliases={"token_endpoint": "https://mtls.acme.test/token"}
    ).with_certificate()
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert (again.environment, repr(again.origins)) == (made.environment, repr(made.origins))
    assert copy.deepcopy(made) == made


def test_a_plain_provider_needs_its_api_origins() -> None:
    """The origins that may receive tokens must be named."""
    with pytest.raises(TypeError, match="api_origins"):
        Provider(name="acme", token_endpoint="https://as.acme.test/token")  # type: ignore[call-arg]


def test_endpoints_may_be_elsewhere_and_have_a_query() -> None:
    """As bLink's authorization endpoint, which belongs to the bank; RFC 6749 section 3.1 allows a query."""
    provider = acme(authorization_endpoint="https://bank.test/auth?tenant=1", revocation_endpoint="https://b.test/r")
    assert provider.authorization_endpoint == "https://bank.test/auth?tenant=1"


def test_a_target_is_in_every_call_and_names_the_authorization_endpoint() -> None:
    """If several parties share one server, their tokens are kept apart and each signs its users in."""
    heard: list[Call] = []

    def api_headers(call: Call) -> dict[str, str]:
        heard.append(call)
        return {"X-Party": call.target or ""}

    provider = acme(
        target=lambda subject: f"party-of-{subject}",
        authorization_endpoint=lambda target: f"https://{target}.test/authorize",
        api_headers=api_headers,
    )
    client = OAuthClient(provider, client_id="id", client_secret="s", redirect_uri="https://app.test/cb")
    alice = client.for_subject("alice")
    assert alice._current.api_headers() == {"X-Party": "party-of-alice"}
    assert heard == [Call("api", "alice", target="party-of-alice")]
    assert alice.store_key.endswith("/subject/alice/party-of-alice")
    assert client.for_itself().store_key.endswith("/party-of-None")
    assert client.start_authorization("alice").url.startswith("https://party-of-alice.test/authorize?")


@pytest.mark.parametrize("named", [None, "", 7])
def test_a_target_that_is_not_valid_is_named(named: Any) -> None:
    """A look-up that knows nobody of that name must not put tokens under a key that others share."""
    client = OAuthClient(acme(target=lambda _subject: named), client_id="id", client_secret="s")
    with raises(ConfigurationError, parameter="target"):
        client.for_subject("alice")


def test_the_environment_is_the_origin_of_the_token_endpoint() -> None:
    """Trap 5: test and production tokens are kept apart."""
    assert acme(token_endpoint="https://AS.acme.test:443/x").environment == "https://as.acme.test"


def test_people_read_a_display_name() -> None:
    """The providers have the names that they go by; any other is shown under its plain name unless it has one."""
    assert (BlnkCloud().display_name, Flinks(host="ob.test").display_name) == ("Blnk Cloud", "Flinks")
    assert acme().display_name == "acme"
    assert acme(display_name="Acme Bank").display_name == "Acme Bank"


def test_a_provider_is_immutable_and_compares_by_its_data() -> None:
    """It can be shared and tested as a table."""
    assert acme() == acme()
    assert acme() != acme(name="other")
    with pytest.raises(AttributeError):
        acme().name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("status", "challenge", "resolved"),
    [
        (401, "", True),
        (498, "", True),
        (498, 'Bearer error="invalid_token"', True),
        (498, 'Bearer error="insufficient_scope"', False),
        (403, 'Bearer error="insufficient_scope"', False),
    ],
)
def test_listed_statuses_are_enough(status: int, challenge: str, resolved: bool) -> None:
    """Who lists 498 or 419 need not write a function: the challenge is read as for a 401."""
    provider = acme(rejection_statuses=frozenset({401, 403, 498}))
    headers = {"www-authenticate": challenge} if challenge else {}
    assert provider.rejects_token(ApiAnswer(status, headers)) is resolved


def test_the_challenge_is_read_in_the_providers_own_scheme() -> None:
    """An API that takes `Zoho-oauthtoken` challenges with that scheme."""
    answer = ApiAnswer(401, {"www-authenticate": 'Zoho-oauthtoken error="invalid_token"'})
    assert acme(token_scheme="Zoho-oauthtoken").rejects_token(answer)
    assert not acme().rejects_token(answer)


def test_a_plain_provider_follows_rfc_6750() -> None:
    """Only a 401 that names no other remedy is a rejection, and no body is read for it."""
    provider = acme()
    assert provider.rejection_statuses == frozenset({401})
    assert not provider.reads_rejection_body
    assert provider.is_rejection(ApiAnswer(401, {}))
    assert not provider.is_rejection(ApiAnswer(401, {"www-authenticate": 'Bearer error="insufficient_scope"'}))
