"""A real browser without a screen, for tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

_ARGUMENTS = (
    "--headless",
    # As root, in a container, Chromium has no sandbox to put itself into.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=PasswordLeakDetection",
)

_LOG = {"goog:loggingPrefs": {"browser": "ALL"}}


class Browser:
    """A window of a browser, as far as the tests look into it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._wait = WebDriverWait(driver, 20, poll_frequency=0.05)

    def open(self, url: str) -> None:
        """Open an address."""
        self.driver.get(url)

    def find(self, selector: str) -> WebElement:
        """Return the one element that a CSS selector finds."""
        (found,) = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found

    def text(self, selector: str) -> str:
        """Return what somebody reads in an element; of what is hidden, nothing."""
        return self.find(selector).text

    def fill(self, selector: str, text: str) -> None:
        """Type a text into an empty field."""
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def click(self, selector: str) -> None:
        """Click on an element."""
        self.find(selector).click()

    def wait_for(self, condition: Any) -> None:
        """Wait until something is the case."""
        self._wait.until(lambda _: condition())

    def run(self, script: str) -> Any:
        """Run JavaScript in the page and return what it returns."""
        return self.driver.execute_script(script)

    def emulate(self, *, width: int, scheme: str) -> None:
        """Show the page as wide as that, to somebody who likes it ``"light"`` or ``"dark"``."""
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def go_offline(self, is_offline: bool) -> None:
        """Cut the page off from every server, or let it reach them again."""
        rates = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions", {"offline": is_offline, **rates}
        )

    def complaints(self) -> list[str]:
        """Return what the console has got since the last time: errors, violations, warnings."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start Chromium with a profile of its own.

    Where there is none the test is skipped, but not in continuous integration.
    """
    options = webdriver.ChromeOptions()
    options.binary_location = _require("chromium", "chromium-browser", "google-chrome")
    for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    for name, value in _LOG.items():
        options.set_capability(name, value)
    driver = webdriver.Chrome(options=options, service=Service(_require("chromedriver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


def _require(*names: str) -> str:
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    reason = f"there is no {names[0]}: apt-get install chromium chromium-driver"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
