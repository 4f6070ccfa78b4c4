"""The whole sign-in in a real browser: consent page, click, redirect, and the page with the result."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from browser.conftest import RATIO, OpenBrowser, keep, rows_of, wait_until
from support.limits import PATIENCE

from blnk_auth import BlnkCloud, OAuthClient, SignInRequired, TokenSource
from blnk_auth.testing import Sandbox
from blnk_auth.testing.sandbox import Fault

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver


LOOKS = {
    "light": {},
    "dark": {"dark": True},
    "phone": {"width": 360, "height": 640},
    "phone-dark": {"width": 360, "height": 640, "dark": True},
}

CONTRAST = (
    RATIO
    + """
const texts = [...document.querySelectorAll("h1, p")].filter(element => element.textContent.trim());
const marks = [...document.querySelectorAll("svg")];
return {
  text: Math.min(...texts.map(e => ratio(parse(getComputedStyle(e).color), ground(e)))),
  mark: Math.min(...marks.map(e => ratio(parse(getComputedStyle(e).stroke), ground(e)))),
};
"""
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(redirect_uri="http://127.0.0.1/callback") as running:
        yield running


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def begin(sandbox: Sandbox, pool: ThreadPoolExecutor, **settings: Any) -> tuple[str, Future[TokenSource]]:
    """A sign-in that waits for the browser, and the URL it asks to open."""
    client = OAuthClient(
        BlnkCloud(base_url=sandbox.origin),
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        redirect_uri=sandbox.redirect_uri,
        **settings,
    )
    urls: queue.Queue[str] = queue.Queue()
    source = pool.submit(
        client.authorize_interactively, "alice", open_browser=False, on_url=urls.put, timeout=2 * PATIENCE
    )
    return urls.get(timeout=PATIENCE), source


def decide(browser: WebDriver, url: str, decision: str) -> None:
    """Open the sandbox's page, click, and wait for the page that the redirects end on."""
    browser.get(url)
    button = browser.find_element("css selector", f"button[value={decision}]")
    # By a script: on a busy machine, a click of the mouse is lost if the browser has not drawn the page yet.
    browser.execute_script("arguments[0].click()", button)
    wait_until(browser, lambda: "/done/" in browser.current_url)
    wait_until(browser, lambda: browser.execute_script("return document.readyState") == "complete")


def check_page(browser: WebDriver, title: str) -> None:
    """What a reader of the page relies on, with eyes or without."""
    assert browser.title == title
    assert browser.find_element("tag name", "html").get_attribute("lang") == "en"
    (main,) = browser.find_elements("tag name", "main")
    assert main.aria_role == "main"
    (heading,) = browser.find_elements("tag name", "h1")
    assert heading.text == title
    (status,) = main.find_elements("css selector", "[role=status]")
    assert title in status.text
    assert browser.find_element("tag name", "svg").get_attribute("aria-hidden") == "true"
    contrast = browser.execute_script(CONTRAST)
    # WCAG 2.2, level AA: 4.5 for text, 3 for a sign.
    assert contrast["text"] >= 4.5
    assert contrast["mark"] >= 3
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    # Nothing was loaded but the page itself.
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("look", rows_of(LOOKS))
def test_the_whole_flow(
    sandbox: Sandbox, pool: ThreadPoolExecutor, open_browser: OpenBrowser, artifacts: Path, look: str
) -> None:
    """Consent page, click, redirect, success page: the tokens are there, and the address bar shows no code."""
    browser = open_browser(**LOOKS[look])
    url, source = begin(sandbox, pool)
    browser.get(url)
    keep(browser, artifacts, f"consent-{look}")
    decide(browser, url, "approve")
    keep(browser, artifacts, f"success-{look}")
    assert source.result(PATIENCE).state == "fresh"
    address = urlsplit(browser.current_url)
    assert (address.path, address.query, address.fragment) == ("/done/success", "", "")
    check_page(browser, "You are signed in")
    is_dark = browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 29)"
    assert is_dark == ("dark" in look)
    assert sandbox.counts.code_exchanges == 1


@pytest.mark.parametrize("look", ["light", "phone-dark"])
def test_a_user_who_denies(
    sandbox: Sandbox, pool: ThreadPoolExecutor, open_browser: OpenBrowser, artifacts: Path, look: str
) -> None:
    """The page describes what to do if they change their mind; the program gets the typed error."""
    browser = open_browser(**LOOKS[look])
    url, source = begin(sandbox, pool)
    decide(browser, url, "deny")
    keep(browser, artifacts, f"denied-{look}")
    check_page(browser, "You did not give access")
    error = source.exception(PATIENCE)
    assert isinstance(error, SignInRequired)
    assert error.reason == "denied"


@pytest.mark.parametrize("look", ["light", "phone-dark"])
def test_an_exchange_that_fails(
    sandbox: Sandbox, pool: ThreadPoolExecutor, open_browser: OpenBrowser, artifacts: Path, look: str
) -> None:
    """The page describes what went wrong, in the words of the error."""
    browser = open_browser(**LOOKS[look])
    url, source = begin(sandbox, pool)
    sandbox.fail(Fault(status=401, body=b'{"error":"invalid_client","error_description":"<b>no</b>"}'))
    decide(browser, url, "approve")
    keep(browser, artifacts, f"failed-{look}")
    check_page(browser, "Signing in did not work")
    assert str(source.exception(PATIENCE)) in browser.find_element("tag name", "main").text
    assert "<b>no</b>" in browser.find_element("class name", "problem").text


def test_a_link_that_is_not_of_this_sign_in_ends_nothing(
    sandbox: Sandbox, pool: ThreadPoolExecutor, open_browser: OpenBrowser, artifacts: Path
) -> None:
    """A stale tab, and a refusal without state, get a page that explains it; the real link still works."""
    browser = open_browser()
    url, source = begin(sandbox, pool)
    redirect_uri = httpx.URL(url).params["redirect_uri"]
    browser.get(f"{redirect_uri}?code=old&state=old")
    keep(browser, artifacts, "invalid-link-light")
    assert browser.title == "This link is not valid here"
    browser.get(f"{redirect_uri}?error=access_denied")
    keep(browser, artifacts, "no-state-light")
    assert "access_denied" in browser.find_element("class name", "problem").text
    decide(browser, url, "approve")
    assert source.result(PATIENCE).state == "fresh"


def test_the_back_button_does_nothing_bad(
    sandbox: Sandbox, pool: ThreadPoolExecutor, open_browser: OpenBrowser
) -> None:
    """Going back leads to the consent page, not to the address with the code: a redirect leaves no entry."""
    browser = open_browser()
    url, source = begin(sandbox, pool)
    decide(browser, url, "approve")
    assert source.result(PATIENCE)
    browser.back()
    wait_until(browser, lambda: "/done/" not in browser.current_url)
    assert browser.current_url.startswith(f"{sandbox.origin}/")
    assert sandbox.counts.code_exchanges == 1
