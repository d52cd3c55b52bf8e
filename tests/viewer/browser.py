"""A headless Chromium, and the viewer's page served to it by the command a user types."""

import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_PATIENCE = 90  # seconds; a busy machine compiles kernels for the first picture of a scene
_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-unsafe-swiftshader --window-size=1300,860"
).split()


def chromium(folder: Path):
    """A driver of a Chromium with an empty profile in `folder`; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver")
    found, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not found or not driver:
        pytest.skip("no Chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = found
    for flag in (*_FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def wait(true: Callable[[], object], says: str = "") -> object:
    """Ask until the answer is true, and return it; the test fails when it stays false."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if got := true():
            return got
        time.sleep(0.05)
    raise AssertionError(says or f"still not true after {_PATIENCE} s")


def complaints(driver) -> list[str]:
    """What the page wrote to the console as errors, but for trame asking in vain who launches its sessions."""
    severe = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    return [message for message in severe if "/paraview/" not in message]


def pixels(driver, name: str) -> np.ndarray:
    """What is on screen of the element with an id, uint8 `[h, w, 3]`."""
    shot = driver.find_element("id", name).screenshot_as_png
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))


class Served:
    """`viscera view ... --web 0`, running; a context that ends it.

    Attributes:
        url: of the page.
    """

    def __init__(self, *arguments: str | Path) -> None:
        self._command = [sys.executable, "-m", "viscera", "view", *map(str, arguments), "--web", "0"]

    def __enter__(self) -> "Served":
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        )
        said = []
        for line in self._process.stdout:
            said.append(line)
            if match := re.search(r"http://\S+", line):
                self.url = match[0]
                return self
        raise AssertionError(f"no page: {''.join(said)}")

    def __exit__(self, *_) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.stdout.close()
