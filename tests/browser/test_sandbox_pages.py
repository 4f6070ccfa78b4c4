"""The sandbox's landing page and live page in a real browser: on a phone, in the dark, with every button."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from browser.conftest import RATIO, OpenBrowser, keep, rows_of, wait_until

from blnk_auth.testing import Clock, Sandbox

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"dark": True},
    "phone": {"width": 390, "height": 844},
    "phone-dark": {"width": 390, "height": 844, "dark": True},
}

CONTRAST = (
    RATIO
    + """
const ownText = e => [...e.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
return [...document.querySelectorAll("body *")]
  .filter(e => ownText(e) && e.checkVisibility() && !e.disabled && !["SCRIPT", "OPTION"].includes(e.tagName))
  .map(e => [ratio(parse(getComputedStyle(e).color), ground(e)), e.tagName + " " + e.textContent.trim().slice(0, 30)])
  .filter(([contrast]) => contrast < 4.5);
"""
)
"""Each text with less contrast than WCAG 2.2, level AA, asks for."""

SMALL = """
return [...document.querySelectorAll("button, select, nav a")]
  .map(e => [e.getBoundingClientRect(), e.textContent.trim().slice(0, 20)])
  .filter(([box]) => box.width && (box.width < 24 || box.height < 24)).map(([, name]) => name);
"""
"""Each target that is smaller than WCAG 2.2, level AA, allows."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock) as running:
        yield running


def find(browser: WebDriver | WebElement, selector: str) -> WebElement:
    return browser.find_element("css selector", selector)


def texts(browser: WebDriver, selector: str) -> list[str]:
    return [each.text for each in browser.find_elements("css selector", selector)]


def open_live(browser: WebDriver, sandbox: Sandbox) -> None:
    browser.get(f"{sandbox.origin}/_sandbox/live")
    wait_until(browser, lambda: texts(browser, "#connection") == ["live"])


def press(browser: WebDriver, name: str, *, grant: int = 1) -> None:
    """Press the button of a grant, as a reader of the screen would find it."""
    find(browser, f"button[aria-label^='{name}: grant {grant} ']").click()


def badge(browser: WebDriver, wanted: str) -> bool:
    return texts(browser, "#grants .badge")[:1] == [wanted]


def check_page(browser: WebDriver, *, is_dark: bool) -> None:
    """It fits the screen, can be read, reached and pressed, and nothing in it failed."""
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert find(browser, "html").get_attribute("lang") == "en"
    assert len(texts(browser, "h1")) == 1
    assert browser.execute_script(CONTRAST) == []
    assert browser.execute_script(SMALL) == []
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(17, 21, 29)") == is_dark
    # A violation of the content security policy would be here too.
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.parametrize("look", rows_of(LOOKS))
def test_the_landing_page(sandbox: Sandbox, open_browser: OpenBrowser, artifacts: Path, look: str) -> None:
    """The address itself leads there; a block is copied whole; the live page is one click away."""
    browser = open_browser(**LOOKS[look])
    permission = {"permission": {"name": "clipboard-write"}, "setting": "granted", "origin": sandbox.origin}
    browser.execute_cdp_cmd("Browser.setPermission", permission)
    browser.get(sandbox.origin)
    assert browser.current_url == f"{sandbox.origin}/_sandbox/"
    assert "Blnk Cloud" in browser.title
    assert sandbox.client_secret in texts(browser, "dd")
    keep(browser, artifacts, f"sandbox-start-{look}")
    check_page(browser, is_dark="dark" in look)
    browser.execute_script(
        "window.copied = null; Object.defineProperty(navigator, 'clipboard',"
        " {value: {writeText: async text => { window.copied = text; }}});"
    )
    button = find(browser, "[data-copy]")
    button.click()
    wait_until(browser, lambda: button.text == "Copied")
    assert browser.execute_script("return window.copied") == find(browser, "pre").get_property("textContent")
    find(browser, "nav a[href='/_sandbox/live']").click()
    wait_until(browser, lambda: texts(browser, "#connection") == ["live"])


@pytest.mark.parametrize("look", rows_of(LOOKS))
def test_the_live_page_shows_what_happens(
    sandbox: Sandbox, open_browser: OpenBrowser, artifacts: Path, clock: Clock, look: str
) -> None:
    """Grants, the time that is left, requests and figures appear by themselves; no token can be read from it."""
    browser = open_browser(**LOOKS[look])
    open_live(browser, sandbox)
    assert "No grant yet" in find(browser, "#no-grants").text
    answer = sandbox.issue("alice <b>", lifetime=3600)
    wait_until(browser, lambda: texts(browser, "#grants h3") == ["alice <b>"])
    assert texts(browser, "#grants dd")[2] == "1:00:00"
    clock.advance(1)
    wait_until(browser, lambda: texts(browser, "#grants dd")[2] == "59:59")
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert httpx.get(f"{sandbox.origin}/data/ledgers?instance_id=secret", headers=headers).status_code == 200
    sandbox.issue("somebody-with-a-name-that-is-longer-than-any-screen-of-a-phone-is-wide@example.com")
    httpx.get(f"{sandbox.origin}/data/{'long/' * 40}")
    wait_until(browser, lambda: len(texts(browser, "#requests li")) == 2)
    assert texts(browser, "#requests .badge") == ["401", "200"]
    assert texts(browser, "#requests code")[1] == "/data/ledgers"
    assert texts(browser, "#count-api_requests b") == ["2"]
    keep(browser, artifacts, f"sandbox-live-{look}")
    check_page(browser, is_dark="dark" in look)
    page = browser.page_source
    assert answer["access_token"] not in page
    assert answer["refresh_token"] not in page
    assert "instance_id" not in page


@pytest.mark.parametrize("look", rows_of(("light", "phone-dark")))
def test_every_button(sandbox: Sandbox, open_browser: OpenBrowser, artifacts: Path, look: str) -> None:
    """Expire, reject, rotate and revoke, faults and rotation: each takes effect, and the page shows it."""
    browser = open_browser(**LOOKS[look])
    open_live(browser, sandbox)
    find(browser, "#issue").click()
    wait_until(browser, lambda: badge(browser, "valid"))
    press(browser, "Expire")
    wait_until(browser, lambda: badge(browser, "expired"))
    assert find(browser, "#said").text == "The access token has expired."
    press(browser, "Reject")
    wait_until(browser, lambda: badge(browser, "rejected"))
    press(browser, "Rotate")
    wait_until(browser, lambda: badge(browser, "valid") and "renewed once" in texts(browser, "#grants dd")[3])
    keep(browser, artifacts, f"sandbox-rotated-{look}")
    check_page(browser, is_dark="dark" in look)
    press(browser, "Revoke")
    wait_until(browser, lambda: badge(browser, "ended"))
    assert all(not each.is_enabled() for each in browser.find_elements("css selector", "#grants button"))

    from selenium.webdriver.support.ui import Select

    Select(find(browser, "#fault")).select_by_value("unavailable")
    find(browser, "#fail").click()
    wait_until(browser, lambda: texts(browser, "#queued") == ["Waiting: unavailable (token)"])
    assert httpx.post(f"{sandbox.origin}/oauth/token").status_code == 503
    wait_until(browser, lambda: texts(browser, "#queued") == ["No fault waits."])
    find(browser, "#rotates").click()
    wait_until(browser, lambda: not sandbox.rotates)
    find(browser, "#fail").click()
    wait_until(browser, lambda: texts(browser, "#queued") == ["Waiting: unavailable (token)"])
    find(browser, "[data-act='clear-faults']").click()
    wait_until(browser, lambda: texts(browser, "#queued") == ["No fault waits."])
    find(browser, "[data-act='clear-record']").click()
    wait_until(browser, lambda: texts(browser, "#count-token_requests b") == ["0"])


@pytest.mark.parametrize("look", rows_of(("light", "phone-dark")))
def test_the_page_where_a_device_code_is_entered(open_browser: OpenBrowser, artifacts: Path, look: str) -> None:
    """The link of the device fills in the code; one click connects the device; the live page shows the grant."""
    browser = open_browser(**LOOKS[look])
    with Sandbox(device_grant=True) as sandbox:
        credentials = (sandbox.client_id, sandbox.client_secret)
        device = httpx.post(
            f"{sandbox.origin}/oauth/device_authorization", data={"scope": "data:read"}, auth=credentials
        ).json()
        browser.get(device["verification_uri_complete"])
        assert find(browser, "#user_code").get_property("value") == device["user_code"]
        keep(browser, artifacts, f"sandbox-device-{look}")
        check_page(browser, is_dark="dark" in look)
        find(browser, "button[value=approve]").click()
        wait_until(browser, lambda: texts(browser, "h1") == ["The device is connected"])
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device["device_code"]}
        answer = httpx.post(f"{sandbox.origin}/oauth/token", data=form, auth=credentials)
        assert answer.status_code == 200
        open_live(browser, sandbox)
        wait_until(browser, lambda: texts(browser, "#grants h3") == ["alice"])


def test_the_keyboard_keeps_its_place(sandbox: Sandbox, open_browser: OpenBrowser) -> None:
    """While the page changes around it, a button keeps the focus, and Enter presses it."""
    from selenium.webdriver.common.keys import Keys

    browser = open_browser()
    sandbox.issue("alice")
    open_live(browser, sandbox)
    wait_until(browser, lambda: badge(browser, "valid"))
    button = find(browser, "button[aria-label^='Reject']")
    browser.execute_script("arguments[0].focus()", button)
    httpx.get(f"{sandbox.origin}/data/x")
    wait_until(browser, lambda: len(texts(browser, "#requests li")) == 1)
    assert browser.switch_to.active_element == button
    button.send_keys(Keys.ENTER)
    wait_until(browser, lambda: badge(browser, "rejected"))


def test_a_sandbox_that_is_started_again(open_browser: OpenBrowser) -> None:
    """The page connects to the next sandbox on that port, and drops what it showed of the first."""
    browser = open_browser()
    with Sandbox() as first:
        port = int(first.origin.rpartition(":")[2])
        first.issue("alice")
        httpx.get(f"{first.origin}/data/x")
        open_live(browser, first)
        wait_until(browser, lambda: len(texts(browser, "#requests li")) == 1)
    wait_until(browser, lambda: texts(browser, "#connection") == ["not connected"])
    with Sandbox(port=port) as second:
        wait_until(browser, lambda: texts(browser, "#connection") == ["live"])
        wait_until(browser, lambda: texts(browser, "#requests li") == texts(browser, "#grants li") == [])
        httpx.get(f"{second.origin}/data/y")
        wait_until(browser, lambda: texts(browser, "#requests code") == ["/data/y"])


def test_another_site_cannot_press_a_button(sandbox: Sandbox, open_browser: OpenBrowser) -> None:
    """A form and a script of another origin change nothing, and read nothing."""
    answer = sandbox.issue("alice")
    browser = open_browser()
    with Sandbox() as other:
        browser.get(f"{other.origin}/_sandbox/counts")
        read = browser.execute_async_script(
            "const done = arguments[1];"
            "const urls = ['', 'counts', 'events'].map(page => `${arguments[0]}/_sandbox/${page}`);"
            "const reads = urls.map(url => fetch(url).then(() => 'read', () => 'refused'));"
            "reads.push(fetch(`${arguments[0]}/_sandbox/revoke?grant=1`, {method: 'POST', mode: 'no-cors'})"
            ".then(() => 'sent'));"
            "Promise.all(reads).then(done);",
            sandbox.origin,
        )
        assert read == ["refused", "refused", "refused", "sent"]
        browser.execute_script(
            "const form = Object.assign(document.createElement('form'), {method: 'post',"
            " action: `${arguments[0]}/_sandbox/revoke?grant=1`}); document.body.append(form); form.submit();",
            sandbox.origin,
        )
        wait_until(browser, lambda: browser.current_url.startswith(sandbox.origin))
        assert "Another site asked for this change" in browser.page_source
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert httpx.get(f"{sandbox.origin}/data/x", headers=headers).status_code == 200
