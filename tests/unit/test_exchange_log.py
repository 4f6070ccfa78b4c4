"""The line of the log for an exchange: what it shows, and what it never shows, regardless of the response."""

from __future__ import annotations

import itertools
import json
import logging
from urllib.parse import urlencode

import pytest

from blnk_auth._protocol.exchange_log import log_exchange
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse, NoResponse

REFRESH_TOKEN, SECRET = "rt-0123456789abcdef", "s3cr3t-0123456789"
NEW = "at-fedcba9876543210"

FORM = urlencode({"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN, "scope": "a b"}).encode()


def line(
    caplog: pytest.LogCaptureFixture,
    response: HttpResponse | NoResponse,
    *,
    body: bytes = FORM,
    url: str = "https://user:pw@as.test/token?key=value",
) -> str:
    def send(_: HttpRequest) -> HttpResponse:
        if isinstance(response, NoResponse):
            raise response
        return response

    request = HttpRequest("POST", url, {"Authorization": f"Basic {SECRET}"}, body)
    seconds = itertools.count(0.0, 0.25)
    with caplog.at_level(logging.DEBUG, "blnk_auth"):
        try:
            log_exchange(send, request, secrets=(REFRESH_TOKEN, SECRET), monotonic=lambda: next(seconds))
        except NoResponse:
            assert response is not None
    [record] = caplog.records
    assert (record.name, record.levelno) == ("blnk_auth.http", logging.DEBUG)
    return record.getMessage()


def answer(**members: object) -> HttpResponse:
    return HttpResponse(200, {"content-type": "application/json"}, json.dumps(members).encode())


def test_names_are_shown_and_the_values_of_a_few(caplog: pytest.LogCaptureFixture) -> None:
    """The URL without query and user name, how the client authenticated, each parameter and each member by name."""
    response = answer(access_token=NEW, token_type="Bearer", expires_in=60, scope="a")
    assert line(caplog, response) == (
        "POST https://as.test/token (Authorization: Basic, grant_type=refresh_token, refresh_token, scope=a b): "
        "200 in 0.25 s (access_token, token_type=Bearer, expires_in=60, scope=a)"
    )


def test_a_json_request_is_read_too(caplog: pytest.LogCaptureFixture) -> None:
    """As Blnk Cloud wants it."""
    body = json.dumps({"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}).encode()
    assert "(Authorization: Basic, grant_type=refresh_token, refresh_token)" in line(caplog, answer(), body=body)


@pytest.mark.parametrize(
    "members",
    [
        {"scope": REFRESH_TOKEN, "token_type": SECRET},
        {"scope": NEW, "access_token": NEW},
        {"error": SECRET},
        {"token_type": f"a {NEW} b", "refresh_token": NEW},
        {REFRESH_TOKEN: 1, "expires_in": REFRESH_TOKEN},
        {"scope": {"nested": NEW}, "error": [NEW]},
    ],
)
def test_a_server_that_repeats_a_secret_does_not_get_it_into_the_log(
    caplog: pytest.LogCaptureFixture, members: dict[str, object]
) -> None:
    """Neither what was sent nor what was issued, in whichever member or name it comes back."""
    shown = line(caplog, answer(**members))
    assert [secret for secret in (REFRESH_TOKEN, SECRET, NEW, "pw", "value") if secret in shown] == []


def test_what_is_not_an_object_is_described(caplog: pytest.LogCaptureFixture) -> None:
    """A page has its type and its length."""
    page = HttpResponse(502, {"content-type": "text/html"}, b"<html>")
    assert line(caplog, page).endswith(": 502 in 0.25 s (text/html, 6 bytes)")


def test_a_lost_response_has_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    """And the error passes."""
    assert line(caplog, NoResponse("ReadTimeout", sent=True)).endswith(": no response after 0.25 s (ReadTimeout)")


def test_many_members_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """A line has at most forty of them."""
    assert line(caplog, answer(**{f"m{n}": "x" for n in range(1000)})).count("m") < 60


def test_nothing_is_read_unless_the_log_is_on(caplog: pytest.LogCaptureFixture) -> None:
    """No clock and no body: a renewal costs nothing more."""
    with caplog.at_level(logging.INFO, "blnk_auth"):
        response = answer()
        assert (
            log_exchange(
                lambda _: response,
                HttpRequest("POST", "https://as.test", {}, b"{"),
                secrets=(),
                monotonic=lambda: pytest.fail("the clock was read"),
            )
            is response
        )
    assert caplog.records == []
