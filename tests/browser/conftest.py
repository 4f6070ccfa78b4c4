"""A real Chromium without a screen, and where its screenshots go: BLNK_TEST_ARTIFACTS, else a temporary directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.limits import PATIENCE

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

RATIO = """
const parse = colour => colour.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => {
  const linear = [r, g, b].map(c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
  return .2126 * linear[0] + .7152 * linear[1] + .0722 * linear[2];
};
const ground = element => {
  for (; element; element = element.parentElement) {
    const colour = parse(getComputedStyle(element).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};
const ratio = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)].sort((m, n) => n - m);
  return (x + .05) / (y + .05);
};
"""
"""JavaScript: `ratio` is the contrast of two colours, `parse` reads one, `ground` finds the one behind an element."""

OpenBrowser = Callable[..., "WebDriver"]


@contextmanager
def chromium(profile: Path, *, width: int, height: int) -> Iterator[WebDriver]:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(str(CHROMEDRIVER)))
    try:
        driver.set_page_load_timeout(60)
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def open_browser(tmp_path: Path) -> Iterator[OpenBrowser]:
    """Opens a browser with a profile of its own: `dark`, and of a size in CSS pixels."""
    pytest.importorskip("selenium", reason="selenium is not installed; it is in the dependency group `test`")
    if CHROMIUM is None or CHROMEDRIVER is None:
        pytest.skip("Chromium is not installed: on Debian, apt-get install chromium chromium-driver")
    with ExitStack() as browsers:

        def open_one(*, dark: bool = False, width: int = 1000, height: int = 720) -> WebDriver:
            # Headless Chromium has a window of at least 500 pixels; a phone is emulated.
            driver = browsers.enter_context(chromium(tmp_path / "profile", width=1000, height=720))
            scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
            metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 600}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            return driver

        yield open_one


@pytest.fixture
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept."""
    named = os.environ.get("BLNK_TEST_ARTIFACTS")
    directory = Path(named) if named else tmp_path_factory.mktemp("screenshots", numbered=True)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def rows_of(looks: Iterable[str]) -> list[Any]:
    """Each look; all but a light page on a desk are tried in the deep run only."""
    return [pytest.param(look, marks=[pytest.mark.deep] * (look != "light")) for look in looks]


def wait_until(browser: WebDriver, holds: Callable[[], object]) -> None:
    """Wait until it holds. An element that the page replaces meanwhile is looked up again."""
    from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    ignored = (StaleElementReferenceException,)
    try:
        WebDriverWait(browser, PATIENCE, poll_frequency=0.05, ignored_exceptions=ignored).until(lambda _: holds())
    except TimeoutException:
        shown = browser.execute_script("return document.body.innerText")
        raise AssertionError(f"in vain: {browser.current_url} shows {shown[:2000]}") from None


def keep(browser: WebDriver, directory: Path, name: str) -> None:
    """Save what the browser shows."""
    (directory / f"{name}.png").write_bytes(browser.get_screenshot_as_png())
