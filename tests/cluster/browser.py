"""A real headless Chromium, driven by WebDriver's own HTTP calls. Source: W3C WebDriver, level 2."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
)  # fmt: skip


class Browser:
    """One window. Elements are named by CSS selectors."""

    def __init__(self, driver: httpx.Client, session: str) -> None:
        self._driver, self._base = driver, f"/session/{session}"

    def open(self, url: str) -> None:
        self._post("url", url=url)

    def size(self, width: int, height: int) -> None:
        """Of the page itself, as a phone's or a desk's."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 700,
        )  # fmt: skip

    def dark(self, on: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.cdp("Emulation.setEmulatedMedia", features=[scheme])

    def cdp(self, command: str, **params: Any) -> Any:
        return self._post("goog/cdp/execute", cmd=command, params=params)

    def js(self, code: str, *arguments: Any) -> Any:
        return self._post("execute/sync", script=code, args=list(arguments))

    def text(self, selector: str) -> str:
        return str(self.js("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def click(self, selector: str) -> None:
        self._post(f"element/{self._find(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        self._post(f"element/{self._find(selector)}/value", text=text)

    def slide(self, selector: str, value: float) -> None:
        """Move a slider as a person does: every step of the way is told."""
        self.js(
            "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event('input', {bubbles: true}));",
            selector, value,
        )  # fmt: skip

    def until(self, true: Callable[[], Any], limit_s: float = 15.0) -> Any:
        """Wait for something that the page will do by itself."""
        end = time.monotonic() + limit_s
        while not (found := true()):
            assert time.monotonic() < end, (
                f"not within {limit_s:g} s; the page says: {self.text('body')[:600]}"
            )
            time.sleep(0.05)
        return found

    def wrongs(self) -> list[str]:
        """What the console complained of."""
        said = self._driver.post(f"{self._base}/se/log", json={"type": "browser"}).json()["value"]
        return [one["message"] for one in said if one["level"] == "SEVERE"]

    def shot(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self._driver.get(f"{self._base}/screenshot").json()["value"]))
        return path

    def _find(self, selector: str) -> str:
        found: str = self._post("element", using="css selector", value=selector)[_ELEMENT]
        return found

    def _post(self, path: str, **said: Any) -> Any:
        answer = self._driver.post(f"{self._base}/{path}", json=said).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(f"{path}: {answer['error']}: {answer['message']}")
        return answer


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a profile of its own; test is skipped where there is none."""
    driver, chrome = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
    if driver is None or chrome is None:
        pytest.skip("chromium and chromedriver are not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="fx-chromium-") as profile:
        process = subprocess.Popen(
            [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as asking:
                _until_up(asking)
                session = asking.post("/session", json=_wish(chrome, profile)).json()["value"]
                try:
                    yield Browser(asking, session["sessionId"])
                finally:
                    asking.delete(f"/session/{session['sessionId']}")
        finally:
            process.terminate()
            process.wait()


def _wish(chrome: str, profile: str) -> dict[str, Any]:
    options = {"binary": chrome, "args": [*_FLAGS, f"--user-data-dir={profile}"]}
    always = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    return {"capabilities": {"alwaysMatch": always}}


def _until_up(driver: httpx.Client, limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while True:
        try:
            if driver.get("/status").json()["value"]["ready"]:
                return
        except httpx.TransportError:
            assert time.monotonic() < end, "chromedriver does not answer"
        time.sleep(0.05)
