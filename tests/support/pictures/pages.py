"""Pictures of pages in a browser, light and dark: the sandbox's consent page and requests, and the end of a sign-in.

Used by `python -m support.pictures`. The sandbox listens at its usual port.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import httpx
from browser.conftest import chromium, wait_until
from support.limits import PATIENCE
from support.pictures import PORT

from blnk_auth import Auth, BlnkCloud, OAuthClient, TokenSource
from blnk_auth.testing import Sandbox

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

WIDTH = 600


def taken() -> Iterator[tuple[str, bytes]]:
    """The name and the PNG of each picture."""
    for look in ("light", "dark"):
        with (
            Sandbox(redirect_uri="http://127.0.0.1/callback", port=PORT) as sandbox,
            TemporaryDirectory() as profile,
            chromium(Path(profile), width=1000, height=720) as browser,
            ThreadPoolExecutor(1) as pool,
        ):
            scheme = [{"name": "prefers-color-scheme", "value": look}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
            client = OAuthClient(
                BlnkCloud(base_url=sandbox.origin),
                client_id=sandbox.client_id,
                client_secret=sandbox.client_secret,
                redirect_uri="http://127.0.0.1/callback",
            )
            urls: queue.Queue[str] = queue.Queue()
            source = pool.submit(
                client.authorize_interactively, "alice", open_browser=False, on_url=urls.put, timeout=PATIENCE
            )
            browser.get(urls.get(timeout=PATIENCE))
            yield f"consent-{look}.png", _shot(browser, 600)
            button = browser.find_element("css selector", "button[value=approve]")
            browser.execute_script("arguments[0].click()", button)
            wait_until(browser, lambda: browser.title == "You are signed in")
            yield f"signed-in-{look}.png", _shot(browser, 320)
            _used(sandbox, source.result(PATIENCE))
            browser.get(f"{sandbox.origin}/_sandbox/live")
            wait_until(browser, lambda: browser.find_element("css selector", "#connection").text == "live")
            _shot(browser, 2000)
            requests = browser.find_element("xpath", "//section[.//h2='Requests']")
            yield f"requests-{look}.png", requests.screenshot_as_png


def _used(sandbox: Sandbox, source: TokenSource) -> None:
    """Two calls of the API, of which the second renews."""
    with httpx.Client(auth=Auth(source)) as api:
        api.get(f"{sandbox.origin}/data/ledgers")
        sandbox.revoke_access_tokens()
        api.get(f"{sandbox.origin}/data/ledgers")


def _shot(browser: WebDriver, height: int) -> bytes:
    metrics = {"width": WIDTH, "height": height, "deviceScaleFactor": 1.25, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    return browser.get_screenshot_as_png()
