"""What a response of the API asks for beyond the grant: a table of challenges, and what is remembered of them."""

from __future__ import annotations

import pytest

from blnk_auth import ApiAnswer
from blnk_auth._protocol.challenges import renewal_may_help
from blnk_auth._protocol.demands import Demand, Demands, step_up_in, union_of_scopes

SCOPE, USER = "insufficient_scope", "insufficient_user_authentication"
SECRET = "at-0123456789abcdef"


def step_up(error: str, **fields: object) -> Demand:
    return Demand("step_up", error, **fields)  # type: ignore[arg-type]  # a table of any fields


CHALLENGES = {
    "more scope": (403, f'Bearer error="{SCOPE}", scope="a b"', step_up(SCOPE, scope="a b")),
    "more scope, as a 401": (401, f'Bearer error="{SCOPE}", scope="a"', step_up(SCOPE, scope="a")),
    "more scope, not named": (403, f'Bearer realm="x", error="{SCOPE}"', step_up(SCOPE)),
    "a stronger sign-in": (
        401,
        f'Bearer error="{USER}", acr_values="loa3 loa2"',
        step_up(USER, acr_values="loa3 loa2"),
    ),
    "a recent sign-in": (401, f'Bearer error="{USER}", max_age="5"', step_up(USER, max_age=5.0)),
    "a sign-in at this moment": (401, f"Bearer error={USER}, max_age=0", step_up(USER, max_age=0.0)),
    "all of it": (
        401,
        f'Bearer error="{USER}", acr_values="loa3", max_age=60, scope="pay"',
        step_up(USER, scope="pay", acr_values="loa3", max_age=60.0),
    ),
    "single quotes": (403, f"Bearer error='{SCOPE}', scope='a'", step_up(SCOPE, scope="a")),
    "among others": (403, f'Basic realm="x", Bearer error="{SCOPE}", scope="a"', step_up(SCOPE, scope="a")),
    "both codes: the sign-in, which gives the scope too": (
        401,
        f'Bearer error="{SCOPE}", scope="a", Bearer error="{USER}", acr_values="loa3"',
        step_up(USER, acr_values="loa3"),
    ),
    "a header that cannot be parsed": (403, f'Bearer realm="x error={SCOPE}', step_up(SCOPE)),
    "another status": (400, f'Bearer error="{SCOPE}"', None),
    "no challenge": (403, "", None),
    "an expired token": (401, 'Bearer error="invalid_token"', None),
    "an expired token, which is renewed first": (401, f'Bearer error="invalid_token", Bearer error="{SCOPE}"', None),
    "another scheme": (403, f'Negotiate error="{SCOPE}"', None),
    "a description that names the code": (
        401,
        f'Bearer error="invalid_request", error_description="no {SCOPE} here"',
        None,
    ),
}
BAD_VALUES = {
    "a negative age": (f'Bearer error="{USER}", max_age="-1"', step_up(USER)),
    "an age in words": (f'Bearer error="{USER}", max_age="soon"', step_up(USER)),
    "an age without end": (f'Bearer error="{USER}", max_age="{"9" * 400}"', step_up(USER)),
    "an age in other digits": (f'Bearer error="{USER}", max_age="٣"', step_up(USER)),
    "a scope with a control character": (f'Bearer error="{SCOPE}", scope="a \x1b[31m b"', step_up(SCOPE, scope="a b")),
    "a scope with a quote": (f'Bearer error="{SCOPE}", scope="a b\\"c d"', step_up(SCOPE, scope="a d")),
    "a scope that quotes the token": (f'Bearer error="{SCOPE}", scope="a x:{SECRET}"', step_up(SCOPE, scope="a")),
    "a context that quotes the token": (f'Bearer error="{USER}", acr_values="{SECRET}"', step_up(USER)),
    "a word without end": (f'Bearer error="{SCOPE}", scope="a {"b" * 5000}"', step_up(SCOPE, scope="a")),
    "words without end": (
        f'Bearer error="{SCOPE}", scope="{" ".join(map(str, range(500)))}"',
        step_up(SCOPE, scope=" ".join(map(str, range(64)))),
    ),
    "the same word twice": (f'Bearer error="{SCOPE}", scope="a b a"', step_up(SCOPE, scope="a b")),
    "an empty scope": (f'Bearer error="{SCOPE}", scope=""', step_up(SCOPE)),
}


@pytest.mark.parametrize(("status", "challenge", "expected"), CHALLENGES.values(), ids=CHALLENGES)
def test_a_challenge_asks_for_a_new_sign_in(status: int, challenge: str, expected: Demand | None) -> None:
    """By RFC 6750 section 3.1 and RFC 9470 section 3; and then no renewal may help."""
    answer = ApiAnswer(status, {"www-authenticate": challenge})
    assert step_up_in(answer, "Bearer", ()) == expected
    assert expected is None or not renewal_may_help(answer)


@pytest.mark.parametrize(("challenge", "expected"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_what_a_challenge_names_is_checked(challenge: str, expected: Demand) -> None:
    """What cannot be sent with a sign-in, or is a secret, is left out; the rest stays."""
    assert step_up_in(ApiAnswer(403, {"www-authenticate": challenge}), "Bearer", (SECRET,)) == expected


def test_a_challenge_for_the_scheme_of_the_token_counts() -> None:
    """RFC 9449 section 7.1: an API may challenge with DPoP, for a token that was sent so."""
    answer = ApiAnswer(403, {"www-authenticate": f'DPoP error="{SCOPE}", scope="a"'})
    assert step_up_in(answer, "DPoP", ()) == step_up(SCOPE, scope="a")
    assert step_up_in(answer, "Bearer", ()) is None


def test_the_union_of_scopes_has_each_word_once() -> None:
    """In the order of their first appearance; nothing is None."""
    assert union_of_scopes("a b", None, "c a") == "a b c"
    assert union_of_scopes(None, "") is None


def test_demands_are_merged() -> None:
    """One sign-in has to give all of it."""
    first = step_up(SCOPE, scope="a b", max_age=60.0)
    second = step_up(USER, scope="c", acr_values="loa3", max_age=300.0)
    both = Demands().including(first).including(second).including(Demand("consent_ended"))
    assert both == Demands(step_up(USER, scope="a b c", acr_values="loa3", max_age=60.0), consent_ended=True)
    assert both.including(second) == both


@pytest.mark.parametrize(
    "demands",
    [
        Demands(step_up(SCOPE, scope="a b", acr_values="loa3", max_age=0.0), consent_ended=True),
        Demands(step_up(SCOPE)),
        Demands(None, consent_ended=True),
    ],
)
def test_demands_are_stored_and_read(demands: Demands) -> None:
    """The record of a grant has them."""
    assert Demands.from_data(demands.to_data()) == demands


@pytest.mark.parametrize(
    "stored",
    [None, "step_up", [], {}, {"step_up": None}, {"consent_ended": "yes"}, {"later": 1}],
)
def test_what_cannot_be_read_is_left_out(stored: object) -> None:
    """A damaged mark, or one of a later version, must not make a grant unreadable."""
    assert Demands.from_data(stored) is None


def test_a_damaged_member_is_left_out() -> None:
    """The others stay."""
    stored = {"step_up": {"error": 1, "scope": "a", "acr_values": [], "max_age": "soon"}}
    assert Demands.from_data(stored) == Demands(Demand("step_up", None, "a"))
