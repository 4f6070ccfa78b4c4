"""The page docs/reference/providers.md, made from the provider values: `python tests/support/provider_table.py`.

A cell is computed from the `Provider` where it has the fact; the rest is what the sandbox of that provider does.
Each cell names the test that would fail if it were wrong; test_provider_table.py checks that it exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from support.generated.docstrings import docstring_of

from blnk_auth import BLink, BlnkCloud, Flinks, Provider
from blnk_auth._protocol.http_messages import Call
from blnk_auth.providers import MastercardOpenFinanceEurope, TrueLayer, UKOpenBanking

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "providers.md"

PROVIDERS = {
    "Blnk Cloud": BlnkCloud(),
    "bLink (SIX), Consent 2.0": BLink(
        base_url="https://base.example", target_id="IIDX99999", username="{username}", user_agent="{user agent}"
    ),
    "Flinks Outbound": Flinks(host="host.example"),
}

Cell = str | Callable[[Provider], str]


@dataclass(frozen=True)
class Row:
    """A behaviour: the text for each provider, and the test (or tests, by spaces) behind each of the three cells."""

    behaviour: str
    cells: Cell | tuple[Cell, Cell, Cell]
    tests: str | tuple[str, str, str]

    def values(self) -> list[str]:
        cells = self.cells if isinstance(self.cells, tuple) else (self.cells,) * 3
        return [
            cell if isinstance(cell, str) else cell(each) for cell, each in zip(cells, PROVIDERS.values(), strict=True)
        ]

    def named(self) -> list[list[str]]:
        tests = self.tests if isinstance(self.tests, tuple) else (self.tests,) * 3
        return [each.split() for each in tests]


def _url(url: str | None) -> str:
    return "none" if url is None else f"`{url.replace('base.example', '{base}').replace('host.example', '{host}')}`"


def _days(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds / 86_400:.0f} days without use"


def _client_auth(provider: Provider) -> str:
    raw = f", {provider.basic_encoding}" if provider.client_auth == "client_secret_basic" else ""
    return f"`{provider.client_auth}`{raw}"


def _parameters(provider: Provider) -> str:
    settings = provider.token_parameters
    made = settings(Call("refresh_token", "alice")) if callable(settings) else settings
    return ", ".join(f"`{name}`" for name in made) or "none"


def _headers(setting: str) -> Callable[[Provider], str]:
    def cell(provider: Provider) -> str:
        settings = getattr(provider, setting)
        call = Call("api", "alice", target=provider.target_of("alice"))
        made = settings(call) if callable(settings) else settings
        return ", ".join(f"`{name}`" for name in made) or "none"

    return cell


def _revocation(provider: Provider) -> str:
    if provider.revocation_endpoint is None:
        return "none; the error of `revoke()` names the place to do it"
    if provider.revocation == "connection":
        return f"DELETE {_url(provider.revocation_endpoint)} with the access token, renewed first if it has expired"
    return f"POST {_url(provider.revocation_endpoint)}, once for each token, the refresh token first"


def _statuses(provider: Provider) -> str:
    return ", ".join(map(str, sorted(provider.rejection_statuses)))


ROWS = (
    Row(
        "Token endpoint",
        lambda p: _url(p.token_endpoint),
        (
            "test_the_endpoints_are_the_documented_ones",
            "test_the_endpoints_are_those_of_the_consent_module",
            "test_the_endpoints_are_the_documented_ones",
        ),
    ),
    Row("Body", lambda p: p.token_body, "test_trap_01_each_provider_gets_its_own_body_encoding"),
    Row("Client authentication", _client_auth, "test_trap_02_exactly_one_client_authentication"),
    Row(
        "Grants",
        lambda p: ", ".join(p.grants),
        (
            "test_nobody_signs_in_for_the_client_itself",
            "test_the_endpoints_are_those_of_the_consent_module",
            "test_the_client_gets_a_token_for_itself",
        ),
    ),
    Row(
        "Further token parameters",
        (_parameters, _parameters, "`scope`, with client_credentials only"),
        (
            "test_a_refresh_sends_the_refresh_token_and_nothing_else",
            "test_trap_03_provider_parameters_go_with_each_refresh",
            "test_trap_09_no_parameter_is_sent_where_it_is_not_wanted",
        ),
    ),
    Row(
        "Further headers, token",
        _headers("token_headers"),
        "test_no_further_header_is_sent_than_in_the_table",
    ),
    Row(
        "Further headers, API",
        _headers("api_headers"),
        "test_no_further_header_is_sent_than_in_the_table",
    ),
    Row(
        "PKCE",
        (
            lambda p: "S256" if p.pkce else "none",
            'none; S256 with `consent="3.0"`',
            lambda p: "S256" if p.pkce else "none",
        ),
        (
            "test_signing_in_sends_s256_and_state",
            (
                "test_the_authorization_request_is_sent_to_the_bank_without_a_challenge "
                "test_tokens_have_a_grant_id_and_need_no_username"
            ),
            "test_signing_in_sends_what_flinks_demands",
        ),
    ),
    Row(
        "Authorization endpoint",
        (
            lambda p: _url(p.authorization_endpoint),
            "the bank's own, as `authorization_endpoint`: a URL, or a callable of the `target_id`",
            lambda p: _url(p.authorization_endpoint),
        ),
        (
            "test_the_endpoints_are_the_documented_ones",
            "test_the_endpoints_are_those_of_the_consent_module test_one_client_serves_people_at_many_banks",
            "test_the_endpoints_are_the_documented_ones",
        ),
    ),
    Row(
        "`state`",
        "always sent, always checked",
        "test_a_callback_with_another_state_is_refused",
    ),
    Row(
        "`scope` when signing in",
        lambda p: "required" if p.requires_scope else "optional",
        (
            "test_signing_in_sends_s256_and_state",
            "test_the_authorization_request_is_sent_to_the_bank_without_a_challenge",
            "test_a_scope_is_demanded_before_anybody_is_sent_there",
        ),
    ),
    Row(
        "`token_type`",
        ("`Bearer`", "`bearer`, sent as `Bearer`", "`Bearer`"),
        "test_the_token_type_is_sent_as_bearer",
    ),
    Row(
        "`expires_in`",
        ("as sent", "as sent", "as sent; 0 or absent: the JWT's `exp`; else unknown"),
        (
            "test_trap_18_opaque_tokens_are_not_read",
            "test_trap_18_opaque_tokens_are_not_read",
            "test_how_long_a_token_lives test_a_token_of_unknown_lifetime_is_used_until_it_is_rejected",
        ),
    ),
    Row(
        "Access token",
        ("opaque", "opaque", "JWT, read for `exp` only and not verified"),
        (
            "test_trap_18_opaque_tokens_are_not_read",
            "test_trap_18_opaque_tokens_are_not_read",
            "test_expires_in_zero_falls_back_to_the_jwt",
        ),
    ),
    Row(
        "Refresh token in a refresh answer",
        ("a new one, which replaces the old", "replaces the old one if it comes", "never; the old one is kept"),
        (
            "test_each_refresh_brings_a_new_refresh_token",
            "test_it_works_whether_or_not_the_bank_rotates",
            "test_the_refresh_token_never_changes",
        ),
    ),
    Row(
        "Refresh token expires after",
        lambda p: _days(p.refresh_idle_lifetime),
        "test_how_long_an_unused_refresh_token_lives",
    ),
    Row("Concurrent refresh", "one for all", "test_trap_23_a_stampede_makes_one_token_call"),
    Row(
        "A grant that has ended without notice",
        "`SignInRequired`, reported once; the record is kept",
        "test_trap_27_a_refresh_token_may_end_silently",
    ),
    Row(
        "Token error body",
        (
            "RFC 6749; a sentence is not a code",
            "RFC 6749 or a problem document; `X-CorAPI-Source` names the refusing party",
            "RFC 6749; 400, 401, 403 with a JSON body and no code mean sign in",
        ),
        (
            "test_trap_28_prose_is_not_an_oauth_code",
            "test_who_answered_decides_who_is_at_fault",
            "test_a_refusal_without_a_known_error_means_sign_in",
        ),
    ),
    Row(
        "Wrong client credentials",
        "`ConfigurationError`; no grant ends",
        "test_trap_26_a_wrong_secret_ends_no_grant",
    ),
    Row(
        "Statuses of a rejection",
        _statuses,
        "test_other_statuses_are_the_applications",
    ),
    Row(
        "The API rejects an expired token",
        ("401", "401 by the bank, challenge in any quotes", "401 or 403 without `code`; 400 at partner endpoints"),
        (
            "test_an_expired_token_is_renewed_as_the_api_reports_it",
            "test_an_expired_token_is_renewed_as_the_api_reports_it test_trap_30_challenges_in_any_quotes",
            (
                "test_an_expired_token_is_renewed_as_the_api_reports_it "
                "test_trap_20_a_403_without_code_and_a_partners_400_are_resolved"
            ),
        ),
    ),
    Row(
        "A rejection that no token resolves",
        ("Core's `AUTH_*` through /proxy", "a 401 by the platform (certificate)", "FDX `code`, such as 602"),
        "test_trap_19_a_401_that_no_token_resolves_causes_no_refresh",
    ),
    Row(
        "The API reports that the consent has ended",
        (
            "not documented",
            "`INVALID_TOKEN` of the bank, which a renewal has not resolved",
            "FDX `code` 602, in a 401 or 403",
        ),
        "test_which_answers_report_the_end_of_a_consent",
    ),
    Row(
        "Try later",
        ("429, 5xx", "500, 502, 503, 504; after 502 and 504 it is unknown what the server did", "429, 500, 503"),
        "test_what_may_heal_is_tried_again",
    ),
    Row(
        "Revoke",
        _revocation,
        (
            "test_trap_34_each_provider_revokes_in_its_own_way",
            "test_revoking_is_one_post_for_each_token",
            "test_revoking_is_a_delete_with_the_access_token test_an_expired_access_token_is_renewed_to_revoke",
        ),
    ),
    Row(
        "Correlation id in errors",
        lambda p: f"`{p.correlation_header}`" if p.correlation_header else "none",
        "test_the_correlation_id_is_the_providers_own",
    ),
    Row(
        "Discovery",
        ("RFC 8414, built in and also through `Provider.discover`", "none (bLink directory)", "none"),
        "test_who_can_be_discovered",
    ),
    Row(
        "Environment",
        ("one host, or your own", "by `base_url`, with its own certificate", "by `host`"),
        (
            "test_another_environment_is_another_key test_a_self_hosted_cloud_is_another_environment",
            (
                "test_another_environment_is_another_key "
                "test_trap_05_environments_share_neither_certificates_nor_store_keys"
            ),
            "test_another_environment_is_another_key test_connections_are_kept_apart",
        ),
    ),
    Row(
        "Static key instead",
        (
            '`StaticToken`: a Cloud API key, or Core\'s with `header="X-Blnk-Key"`',
            '`StaticToken(permission_id, header="Permission-ID", provider=BLink(..., permission_mode=True))`',
            "none",
        ),
        (
            "test_a_static_key_is_sent_to_its_origin_only",
            (
                "test_a_fixed_key_is_sent_and_never_renewed "
                "test_a_permission_is_sent_with_everything_that_blink_requires"
            ),
            "test_a_fixed_key_is_sent_and_never_renewed",
        ),
    ),
)


@dataclass(frozen=True)
class Difference:
    """A difference between the two versions of bLink's consent, and the test (or tests, by spaces) behind it."""

    behaviour: str
    two: str
    three: str
    tests: str


CONSENT = (
    Difference(
        "A sign-in",
        "is sent to the bank by the browser",
        "is pushed through bLink first (RFC 9126), for the bank that `X-CorAPI-Target-ID` names",
        "test_a_sign_in_is_pushed_through_the_platform test_one_client_pushes_for_each_users_bank",
    ),
    Difference("PKCE", "none", "S256", "test_what_differs_between_the_versions_of_consent"),
    Difference(
        "`username`",
        "in each token request",
        "not sent, even if it is set",
        "test_tokens_have_a_grant_id_and_need_no_username",
    ),
    Difference(
        "The consent",
        "has no name",
        "is named by `grant_id`, in `source.token().extra`",
        "test_tokens_have_a_grant_id_and_need_no_username",
    ),
    Difference(
        "To change a consent",
        "sign in again",
        '`start_authorization(..., grant_management_action="merge", grant_id=...)`, or `"replace"`',
        "test_a_grant_is_changed_by_its_id test_create_makes_another_grant",
    ),
    Difference(
        "Users who signed in with Consent 2.0",
        "stay signed in",
        "stay signed in: the store keys are the same, and the first refresh brings the `grant_id`",
        "test_a_user_who_signed_in_with_consent_2_stays_signed_in",
    ),
    Difference(
        "A permission",
        "is sent as `Permission-ID`",
        "can be exchanged for tokens, once: `client.authorize_by_exchange(...)`",
        "test_a_permission_is_sent_with_everything_that_blink_requires test_a_permission_is_exchanged_for_tokens_once",
    ),
)

UNPUBLISHED = (
    ("bLink: the base URLs of the consent module", "no default", "`base_url`"),
    (
        "bLink: the path for pushed requests (Consent 3.0 is not live)",
        "`{base}/oauth/par`, which is a guess",
        "`pushed_authorization_request_endpoint`",
    ),
    (
        "bLink: how a permission is exchanged: endpoint, `grant_type` and parameters",
        "sent to the token endpoint; the rest has no default",
        "`authorize_by_exchange(grant_type=..., parameters=...)`, `dataclasses.replace(provider, token_endpoint=...)`",
    ),
    (
        "bLink: the base URL of `/permissions/{providerId}/{userId}`",
        "that of the consent module; your application sends the request",
        "`base_url` of `blink_permission_url`",
    ),
    (
        "bLink: which of the newest modules (AIS 5 and 6) require the PSU headers",
        "both are sent to every module",
        "`psu_headers_for_api=False`",
    ),
    ("bLink: the scopes", "none is sent unless you name it", "`scope`"),
    ("bLink: whether a bank rotates refresh tokens", "a new one replaces the old one if it comes", "none"),
    (
        "bLink: the error body of the token endpoint",
        "RFC 6749 and problem documents are read",
        "`dataclasses.replace(provider, judge_refusal=...)`",
    ),
    ('bLink: what "base64 encoded" means for the access token', "it is sent as issued", "none"),
    (
        "Blnk Cloud: how long a refresh token lives, and whether an old one has a grace period",
        "unknown",
        "`idle_lifetime`",
    ),
    ("Blnk Cloud: whether `state` is returned", "it must be", "`unechoed_state`"),
    (
        "Blnk Cloud: the error of a client whose expiry date has passed",
        "only `invalid_grant` ends a grant; any other answer is an error of the configuration or the protocol",
        "none",
    ),
    (
        "Flinks: where the client credentials are sent",
        "in the JSON body",
        "`client_auth`",
    ),
    ("Flinks: the host", "no default", "`host`"),
)
"""What no public page states, what is done, and the setting that changes it."""

_HEAD = """\
# Providers

How this library behaves at each provider.
The table is made from the provider values by `tests/support/provider_table.py`.
`{base}` and `{host}` are given at onboarding.
The real services were not called: the page follows their documentation.
Each cell has a test, against a server that does the same.
The Python SDK of Blnk, and its MCP server: [how to call Blnk Cloud](../how-to/blnk-cloud.md).

"""

_CONSENT_HEAD = (
    "## bLink: Consent 3.0 and permission mode",
    "",
    "[How to use them](../how-to/blink.md).",
    "Consent 3.0 is planned and not live: SIX documents it, and the sandbox plays it.",
)

PROFILES = (MastercardOpenFinanceEurope, TrueLayer, UKOpenBanking)

_PROFILES_HEAD = (
    "## Profiles of further providers",
    "",
    "They follow public documentation, and were never tried with the real services.",
    "[Any other provider](../how-to/describe-a-provider.md) is described in the same way.",
)

_UNPUBLISHED_HEAD = (
    "## What is not published",
    "",
    "No public page states these facts, so most of them are settings.",
)


def render() -> str:
    """The page."""
    names = list(PROVIDERS)
    lines = [_line("behaviour", *names), _line(*["---"] * 4)]
    lines += [_line(row.behaviour, *row.values()) for row in ROWS]
    tests = ["", "## The tests behind it", "", _line("behaviour", *names), _line(*["---"] * 4)]
    tests += [_line(row.behaviour, *(_tests(names) for names in row.named())) for row in ROWS]
    return _HEAD + "\n".join([*lines, *_consent(), *_profiles(), *_unpublished(), *tests]) + "\n"


def _consent() -> list[str]:
    rows = [_line(row.behaviour, row.two, row.three, _tests(row.tests.split())) for row in CONSENT]
    head = _line("behaviour", "Consent 2.0, permission mode", 'Consent 3.0, `consent="3.0"`', "test")
    return ["", *_CONSENT_HEAD, "", head, _line(*["---"] * 4), *rows]


def _profiles() -> list[str]:
    entries = [f"* [`{each.__name__}`](../api/providers.md): {docstring_of(each).summary}" for each in PROFILES]
    return ["", *_PROFILES_HEAD, "", *entries]


def _unpublished() -> list[str]:
    rows = [_line(what, done, setting) for what, done, setting in UNPUBLISHED]
    head = _line("not published", "what this library does", "what changes it")
    return [
        "",
        "## What is not published",
        "",
        "No public page states these facts, so they are settings where that is possible.",
        "",
        head,
        _line(*["---"] * 3),
        *rows,
    ]


def _tests(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
