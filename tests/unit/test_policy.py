"""The numbers of the renewal are checked when they are given."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
from support.errors import raises

from blnk_auth import ConfigurationError, RenewalPolicy

NAMES = [each.name for each in fields(RenewalPolicy)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1, -0.1, math.nan, math.inf, "1", None, True, [1]], ids=repr)
def test_what_is_no_number_of_seconds_is_refused_by_name(name: str, value: Any) -> None:
    """Negative, not finite, or no number at all."""
    with raises(ConfigurationError, parameter=name) as caught:
        RenewalPolicy(**{name: value})
    assert caught.value.parameter == name


def documented(name: str) -> str:
    """The entry of a field in the section `Attributes` of the class."""
    found = re.search(rf"^    {name}: (.*)$", inspect.getdoc(RenewalPolicy) or "", re.MULTILINE)
    assert found is not None, f"{name} is not documented"
    return found[1]


@pytest.mark.parametrize("name", NAMES)
def test_each_number_is_documented_with_its_unit_and_its_default(name: str) -> None:
    """The docstring has the defaults of the code."""
    described = re.match(r"(Seconds|Share|Bytes|Count), default ([\d,.]*\d)", documented(name))
    assert described is not None
    assert float(described[2].replace(",", "")) == getattr(RenewalPolicy(), name)


@pytest.mark.parametrize("name", NAMES)
def test_each_number_has_its_reason_on_the_page(name: str) -> None:
    """`docs/explanation/policy.md` has a row for each field."""
    page = Path(__file__).parents[2] / "docs" / "explanation" / "policy.md"
    assert re.search(rf"^\|[^|]*`{name}`", page.read_text(), re.MULTILINE)


def test_a_number_beyond_a_float_is_refused_by_name() -> None:
    """Python's integers have no end; seconds do."""
    with raises(ConfigurationError, parameter="cooldown"):
        RenewalPolicy(cooldown=10**400)


@pytest.mark.parametrize("name", ["connect_timeout", "read_timeout", "request_deadline", "max_answer_bytes"])
def test_a_token_request_needs_some_time_and_some_bytes(name: str) -> None:
    """A limit of 0 would let every renewal fail, and cost a rotated pair."""
    with raises(ConfigurationError, parameter=name):
        RenewalPolicy(**{name: 0})


@pytest.mark.parametrize("name", ["lock_timeout", "cooldown", "advisory_leeway", "mandatory_leeway", "jitter"])
def test_other_numbers_may_be_nothing(name: str) -> None:
    """A lock that is not waited for, no cool-down, no early renewal: each is somebody's choice."""
    assert getattr(RenewalPolicy(**{name: 0}), name) == 0


@pytest.mark.parametrize("name", ["advisory_fraction", "mandatory_fraction", "jitter"])
def test_a_share_is_at_most_one(name: str) -> None:
    """More than the whole lifetime makes no sense."""
    with raises(ConfigurationError, parameter=name):
        RenewalPolicy(**{name: 1.1})


def test_waiting_begins_after_renewing_does() -> None:
    """The mandatory window is within the advisory one."""
    with raises(ConfigurationError, parameter="mandatory_fraction"):
        RenewalPolicy(advisory_fraction=0.1, mandatory_fraction=0.2)


def test_the_defaults_and_whole_numbers_pass() -> None:
    """Integers are as good as floats."""
    assert RenewalPolicy(**{name: getattr(RenewalPolicy(), name) for name in NAMES}) == RenewalPolicy()
    assert RenewalPolicy(cooldown=2).cooldown == 2


def test_the_slow_renewal_of_another_process_is_outlasted() -> None:
    """By default the wait for the lock is longer than the longest token request."""
    assert RenewalPolicy().lock_timeout > RenewalPolicy().request_deadline


def test_a_policy_is_immutable_and_its_fields_have_names() -> None:
    """One may be shared between clients; positional numbers would be unreadable."""
    with pytest.raises(FrozenInstanceError):
        RenewalPolicy().cooldown = 2.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        RenewalPolicy(600.0)  # type: ignore[misc]


@pytest.mark.parametrize("retries", [-1, 1.5, 11, True, None, "2"])
def test_a_number_of_repetitions_is_whole_and_small(retries: object) -> None:
    """Each of them may spend a refresh token."""
    with pytest.raises(ConfigurationError) as caught:
        RenewalPolicy(lost_answer_retries=retries)  # type: ignore[arg-type]
    assert caught.value.parameter == "lost_answer_retries"
