"""Every target, for seconds: its corpus, and the same few inputs each time.

`make fuzz` tries others for as long as asked.

That a target fails for a defect is shown here too, once for each of the things that targets look for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

import pytest
from fuzz import connections, records, responses, sign_in, urls
from fuzz.target import CORPUS, QUICK, Run, Target, fuzz, only_our_errors, try_corpus
from fuzz.targets import TARGETS, inputs
from hypothesis import settings
from hypothesis import strategies as st

from blnk_auth import ConfigurationError, SignInRequired
from blnk_auth._protocol.origins import AllowedOrigins, Origin
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth._request import requests_hook
from blnk_auth._sign_in import page as pages
from blnk_auth._sign_in.callback_url import Callback
from blnk_auth.stores import _encrypted
from blnk_auth.token import Token

BY_NAME = {target.name: target for target in TARGETS}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_is_found(target: Target) -> None:
    """Neither a committed input nor one of the first few others shows a defect."""
    for found in (
        try_corpus(target),
        fuzz(target, inputs(target), settings(QUICK, max_examples=60 // min(target.cost, 6))),
    ):
        if found.error is not None:
            pytest.fail(f"{target.name} failed for\n{found.failing!r}\n{found.trace}")
        assert found.examples


def test_each_target_has_its_file_in_the_corpus() -> None:
    """Each file there is tried, and each target has at least one input that shows how others look."""
    assert {path.stem for path in CORPUS.iterdir()} == set(BY_NAME)
    assert len(BY_NAME) == len(TARGETS)
    for target in TARGETS:
        assert target.corpus, target.name


# --- what the targets look for ---------------------------------------------------------------------------------------


def test_the_smallest_failing_input_is_reported() -> None:
    """It can be written down, and read back."""

    def fails_for_long_ones(value: str) -> None:
        assert len(value) < 3

    found = fuzz(Target("any", st.text(), fails_for_long_ones), st.text(), QUICK)
    assert found.failing == "000"
    assert "fails_for_long_ones" in found.trace


def test_a_bare_error_is_found() -> None:
    """Only an error of this library passes, and only with a message on one line."""
    with only_our_errors():
        raise ConfigurationError("this is ours")
    with pytest.raises(KeyError), only_our_errors():
        raise KeyError("this is not")
    error = ConfigurationError("x")
    error.args = ("\x1b[2J",)
    with pytest.raises(AssertionError, match="not printable"), only_our_errors():
        raise error


@contextmanager
def _replaced(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, broken: Any) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, broken)
        yield


def _look(name: str, most: int = 400) -> Run:
    return fuzz(BY_NAME[name], inputs(BY_NAME[name]), settings(QUICK, max_examples=most))


def _loses_the_pair(*_: Any, **__: Any) -> Any:
    raise SignInRequired("refused", reason="refused")


def _reads_lazily(cls: type[GrantRecord], data: dict[str, Any], key: str) -> GrantRecord:
    return cls(Token(data["token"]["access_token"]))


def _takes_the_last(callback_url: str) -> Callback:
    read = dict(parse_qsl(callback_url.partition("?")[2]))
    return Callback(*(read.get(name) for name in ("state", "code", "iss", "error", "error_description")))


def _does_nothing(*_: Any) -> None:
    pass


def _permits_what_begins_alike(self: AllowedOrigins, origin: Origin) -> bool:
    return any(origin.host.startswith(listed.host) for listed in self.listed)


@pytest.mark.parametrize(
    ("name", "owner", "attribute", "broken"),
    [
        pytest.param("token_response", responses, "judge_token_response", _loses_the_pair, id="a pair is lost"),
        pytest.param("stored_grant", GrantRecord, "from_data", classmethod(_reads_lazily), id="a bare error"),
        pytest.param("request_url", AllowedOrigins, "permits", _permits_what_begins_alike, id="another origin"),
        pytest.param("page", pages, "escape", lambda text: text, id="a tag of a server"),
        pytest.param(
            "encrypted_record", _encrypted.EncryptedStore, "_opened", lambda self, key, data: data, id="altered"
        ),
        pytest.param("callback_url", sign_in, "parse_callback", _takes_the_last, id="a parameter that comes twice"),
        pytest.param("redirect", requests_hook.ResponseHook, "before_redirect", _does_nothing, id="a redirect"),
        pytest.param("record_file", records, "GRANTS", [], id="nothing broken"),
    ],
)
def test_a_broken_parser_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, owner: Any, attribute: str, broken: Any
) -> None:
    """Within some hundred inputs; and where nothing is broken, nothing is found."""
    with _replaced(monkeypatch, owner, attribute, broken):
        found = _look(name)
    if broken == []:
        assert found.error is None
        return
    assert found.error is not None, f"{found.examples} inputs, and nothing was found"
    assert eval(repr(found.failing), {"inf": float("inf"), "nan": float("nan")}) is not None


@pytest.mark.parametrize("package", list(urls.AUTH))
def test_a_connection_is_what_the_package_makes_of_a_url(package: str) -> None:
    """The oracle about URLs: the host, the port, TLS or not, and the headers, through a redirect too."""

    def respond(number: int) -> tuple[int, dict[str, str]]:
        return (302, {"location": "http://127.0.0.1:8123/x"}) if number == 0 else (200, {})

    first, second = connections.sent_by(package, "https://Bücher.test/x", None, respond)
    assert (first.origin, second.origin) == ("https://xn--bcher-kva.test:443", "http://127.0.0.1:8123")
    assert "user-agent" in first.headers


def test_a_reference_reader_agrees_with_an_ordinary_response() -> None:
    """The oracle about pairs: it sees the pair, and only where there is one for certain."""
    body = json.dumps(responses.ISSUED).encode()
    assert responses.pair_in(200, {}, body) == ("at1", "rt1")
    assert responses.pair_in(400, {}, body) is None
    assert responses.pair_in(200, {}, body[:-1]) is None
