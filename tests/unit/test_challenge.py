"""Reading WWW-Authenticate: the RFC's grammar, what servers make of it, and anything at all."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.growth import grows_too_fast

from blnk_auth._protocol import challenges
from blnk_auth._protocol.challenges import Challenge, parse_challenges, renewal_may_help
from blnk_auth._protocol.http_messages import ApiAnswer

B = "bearer"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # RFC 9110 section 11.6.1
        (
            'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
            [
                ("basic", {"realm": "simple"}),
                ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
            ],
        ),
        # RFC 6750 section 3
        ('Bearer realm="example"', [(B, {"realm": "example"})]),
        (
            'Bearer realm="example", error="invalid_token", error_description="The access token expired"',
            [(B, {"realm": "example", "error": "invalid_token", "error_description": "The access token expired"})],
        ),
        # RFC 7235, RFC 4559, RFC 9449
        ("Negotiate", [("negotiate", {})]),
        ("Negotiate, Bearer", [("negotiate", {}), (B, {})]),
        ("Negotiate YII+/=, Bearer error=x", [("negotiate", {}), (B, {"error": "x"})]),
        (
            'DPoP error="use_dpop_nonce", algs="ES256 PS256"',
            [("dpop", {"error": "use_dpop_nonce", "algs": "ES256 PS256"})],
        ),
        # As servers write it
        ("Bearer error='invalid_token'", [(B, {"error": "invalid_token"})]),
        ("Bearer error=invalid_token", [(B, {"error": "invalid_token"})]),
        ('bearer ERROR="x"', [(B, {"error": "x"})]),
        ('BEARER   realm = "a" ,  error = "b"', [(B, {"realm": "a", "error": "b"})]),
        ('Bearer error="a", error="b"', [(B, {"error": "a"})]),
        ('Bearer realm="a, Basic b", error="c"', [(B, {"realm": "a, Basic b", "error": "c"})]),
        ('Bearer error=""', [(B, {"error": ""})]),
        ("Bearer scope='a b', error='c'", [(B, {"scope": "a b", "error": "c"})]),
        ('Bearer error="a", ', [(B, {"error": "a"})]),
        ('Bearer realm="x", Bearer error="y"', [(B, {"realm": "x"}), (B, {"error": "y"})]),
        ("", []),
        ("   ", []),
        ('="x"', []),
        ("\x00", []),
    ],
)
def test_challenges_are_read(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    """Several challenges in one header, quoted twice, once or not at all, with token68 or parameters."""
    assert parse_challenges(header) == tuple(Challenge(scheme, parameters) for scheme, parameters in expected)


@pytest.mark.parametrize(
    "header", [', Bearer error="x"', 'Basic realm="a",, Bearer error="x"', 'Negotiate,, Bearer error="x"']
)
def test_empty_elements_of_the_list_are_passed_over(header: str) -> None:
    """RFC 9110 section 5.6.1.2: a recipient must ignore a reasonable number of empty list elements."""
    assert parse_challenges(header)[-1] == Challenge(B, {"error": "x"})


@pytest.mark.parametrize(
    "header",
    [
        'Bearer realm="a" error="insufficient_scope"',
        'Bearer error="insufficient_scope',
        'Bearer error="insufficient_scope"; scope="a"',
    ],
)
def test_a_sloppy_challenge_still_means_that_no_renewal_helps(header: str) -> None:
    """A missing comma or quote does not hide `insufficient_scope`: a renewal would be wasted."""
    assert not renewal_may_help(ApiAnswer(401, {"www-authenticate": header}))


@pytest.mark.parametrize(
    ("header", "renewal_helps"),
    [
        (None, True),
        ("", True),
        (" ", True),
        ("Bearer", True),
        ('Bearer realm="x"', True),
        ('Bearer error="invalid_token"', True),
        ("Bearer error='invalid_token'", True),
        ("Bearer error=invalid_token", True),
        ('Bearer error="something_else"', True),
        ('Basic realm="x", Bearer error="invalid_token"', True),
        ('Bearer error="insufficient_scope", Bearer error="invalid_token"', True),
        ('Bearer error="insufficient_scope", scope="a"', False),
        ('Bearer error="invalid_request"', False),
        ('Bearer error="insufficient_user_authentication", acr_values="a"', False),
        ("Bearer error=insufficient_user_authentication; max_age=5", False),
        ('Basic realm="x"', False),
        ("Negotiate", False),
        ('DPoP error="invalid_token"', False),
        ('Digest realm="Bearer", nonce="x"', False),
        ('"', False),
    ],
)
def test_f32_a_new_token_helps_only_if_no_other_remedy_is_named(header: str | None, renewal_helps: bool) -> None:
    """F32: scope, request, step-up and other schemes call for something else; no challenge at all counts."""
    headers = {} if header is None else {"www-authenticate": header}
    assert renewal_may_help(ApiAnswer(401, headers)) is renewal_helps


@pytest.mark.parametrize(
    ("header", "renewal_helps"),
    [
        (None, True),
        ("DPoP", True),
        ('DPoP algs="ES256"', True),
        ('DPoP error="invalid_token", algs="ES256"', True),
        ('Bearer, DPoP error="invalid_token"', True),
        ('Bearer error="invalid_token"', True),
        ("Bearer", True),
        ('DPoP error="use_dpop_nonce"', False),
        ('DPoP error="invalid_dpop_proof"', False),
        ('Bearer, DPoP error="use_dpop_nonce"', False),
        ('Bearer error="invalid_token", DPoP error="invalid_dpop_proof"', False),
        ('DPoP error="insufficient_scope"', False),
        ('Bearer error="insufficient_scope"', False),
        ('Basic realm="x"', False),
    ],
)
def test_a_token_that_was_sent_with_a_proof_is_rejected_by_a_challenge_for_one(
    header: str | None, renewal_helps: bool
) -> None:
    """RFC 9449 section 7.1: the scheme is DPoP, and errors of the proof call for another proof. An API that names only
    Bearer in its challenges is understood too.
    """
    headers = {} if header is None else {"www-authenticate": header}
    assert renewal_may_help(ApiAnswer(401, headers, scheme="DPoP")) is renewal_helps


@pytest.mark.parametrize("status", [200, 400, 403, 407, 500])
def test_a_new_token_helps_only_after_a_401(status: int) -> None:
    """By RFC 6750; providers that do otherwise bring their own rule."""
    assert not renewal_may_help(ApiAnswer(status, {"www-authenticate": 'Bearer error="invalid_token"'}))


NAMES = st.text(alphabet="abcXYZ019-_.~!#$", min_size=1, max_size=6)
VALUES = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_characters="\x7f"), max_size=8)
CHALLENGES = st.lists(
    st.tuples(NAMES, st.dictionaries(NAMES.map(str.lower), VALUES, min_size=1, max_size=3)), min_size=1, max_size=4
)


@given(written=CHALLENGES)
def test_what_is_written_by_the_rfc_is_read_back(written: list[tuple[str, dict[str, str]]]) -> None:
    """RFC 9110 section 11.6.1: with any quoted values, also with commas, quotes and other challenges in them."""
    header = ", ".join(
        f"{scheme} " + ", ".join(f"{name}={_quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in written
    )
    assert parse_challenges(header) == tuple(Challenge(scheme.lower(), parameters) for scheme, parameters in written)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


HOSTILE: dict[str, Callable[[int], str]] = {
    "one long name": lambda n: "a" * n,
    "many schemes": lambda n: "a " * n,
    "many schemes and commas": lambda n: "a\t," * n,
    "spaces before a word": lambda n: "a" + " " * n + "b",
    "spaces before a quote that nothing opened": lambda n: "Bearer a=" + " " * n + 'b"',
    "spaces around an equals sign": lambda n: "Bearer a" + " " * n + "=" + " " * n,
    "names without values": lambda n: "a=" * n,
    "quotes that nothing closes": lambda n: 'a="' * n,
    "single quotes that nothing closes": lambda n: "Bearer a='" * n,
    "backslashes": lambda n: 'Bearer a="' + "\\" * n,
    "quotes and backslashes": lambda n: 'a="\\' * n,
    "many parameters": lambda n: "Bearer " + "a=b," * n,
    "parameters without commas": lambda n: 'Bearer a="b" ' * n,
    "only commas": lambda n: "Bearer " + "," * n,
    "only equals signs": lambda n: "Bearer " + "=" * n,
    "only spaces": lambda n: " " * n,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_the_time_to_read_a_header_grows_with_its_length_only(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the characters cost about twice the time: a rejection is judged on the caller's thread or event loop."""
    monkeypatch.setattr(challenges, "_LONGEST_HEADER", sys.maxsize)
    assert grows_too_fast(parse_challenges, HOSTILE[case], 16_000) is None


def test_what_a_server_sends_beyond_reason_is_not_read() -> None:
    """At most 16 KiB of challenges are read: each costs time on the caller's thread."""
    assert 8000 < len(parse_challenges("a " * 1_000_000)) <= 8192
