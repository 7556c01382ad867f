"""Chromium, driven by the W3C WebDriver protocol: what a person's browser makes of a page."""

import base64
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.waiting import slowdown, wait_until

#: The name under which the protocol has an element's id.
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


#: How often an element is looked for that was replaced before it was clicked.
_TRIES = 4


class Chromium:
    """One window. A command that fails is an AssertionError with the browser's words."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client = client
        self._path = f"/session/{session}"

    def open(self, address: str) -> None:
        """Go to a page, and wait until it is loaded."""
        self._post("/url", {"url": address})

    def text(self, selector: str = "body") -> str:
        """What can be read in an element; in one step, as a page may put another in its place."""
        return str(self.run(f"return document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        """Click on an element, which has to be there and in view.

        A page that follows the fleet may put another in its place meanwhile: then that one is clicked.
        """
        for left in reversed(range(_TRIES)):
            try:
                self._post(f"/element/{self._find(selector)}/click", {})
            except AssertionError as error:
                if "stale element" not in str(error) or not left:
                    raise
            else:
                return

    def write(self, selector: str, text: str) -> None:
        """Type into a field."""
        self._post(f"/element/{self._find(selector)}/value", {"text": text})

    def back(self) -> None:
        """The back button."""
        self._post("/back", {})

    def tab(self) -> str:
        """The tab that is looked at."""
        return str(self._get("/window"))

    def new_tab(self) -> str:
        """Another tab, which is looked at from now on."""
        made = str(self._post("/window/new", {"type": "tab"})["handle"])
        self.switch(made)
        return made

    def switch(self, tab: str) -> None:
        """Look at a tab; the others are hidden."""
        self._post("/window", {"handle": tab})
        self._devtools("Page.bringToFront", {})

    def close_tab(self, tab: str, *, then: str) -> None:
        """Close a tab, and look at another."""
        self._post("/window", {"handle": tab})
        _value(self._client.delete(f"{self._path}/window"))
        self.switch(then)

    def run(self, script: str) -> Any:
        """The value of a script that returns one. The page's own policy does not bind it."""
        return self._post("/execute/sync", {"script": script, "args": []})

    def run_async(self, script: str) -> Any:
        """The value that a script gives to its last argument."""
        return self._post("/execute/async", {"script": script, "args": []})

    def size(self, width: int, height: int) -> None:
        """Make what is shown of a page as large, in CSS pixels."""
        self._devtools(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def colours(self, scheme: str, *, medium: str = "", motion: str = "") -> None:
        """Prefer `light` or `dark`; `print` as medium, `reduce` as motion: by default as usual."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self._devtools("Emulation.setEmulatedMedia", {"media": medium, "features": features})

    def zone(self, name: str) -> None:
        """Be in a time zone, such as `Asia/Tokyo`; "" for that of the machine."""
        self._devtools("Emulation.setTimezoneOverride", {"timezoneId": name})

    def screenshot(self, file: Path) -> None:
        """Keep what is shown as PNG."""
        file.write_bytes(base64.b64decode(self._get("/screenshot")))

    def complaints(self) -> list[str]:
        """What the browser has said of pages since the last call: errors, refusals by policy."""
        said = self._post("/se/log", {"type": "browser"})
        return [str(line["message"]) for line in said]

    def asked(self) -> list[str]:
        """Every address that was asked for since the last call."""
        return [
            str(event["params"]["request"]["url"])
            for event in self.network()
            if event["method"] == "Network.requestWillBeSent"
        ]

    def network(self) -> list[dict[str, Any]]:
        """What the browser reports of its requests since the last call of this or of `asked`."""
        lines = self._post("/se/log", {"type": "performance"})
        events = [json.loads(line["message"])["message"] for line in lines]
        return [event for event in events if event["method"].startswith("Network.")]

    def _devtools(self, command: str, parameters: Mapping[str, Any]) -> None:
        self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _find(self, selector: str) -> str:
        return str(self._post("/element", {"using": "css selector", "value": selector})[_ELEMENT])

    def _get(self, path: str) -> Any:
        return _value(self._client.get(self._path + path))

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return _value(self._client.post(self._path + path, json=body))


@contextmanager
def chromium(folder: Path) -> Iterator[Chromium]:
    """A headless Chromium with a profile of its own, which ends with the block."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.fail("chromium is not installed; apt-get install chromium chromium-driver")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {
        "binary": program,
        "args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            f"--user-data-dir={folder / 'profile'}",
        ],
    }  # fmt: skip
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    with (
        (folder / "chromedriver.log").open("wb") as log,
        subprocess.Popen([driver, f"--port={port}"], stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60 * slowdown(), trust_env=False) as client,
    ):
        try:
            wait_until(lambda: _is_ready(client), description="chromedriver answers", timeout=30)
            made = _value(client.post("/session", json={"capabilities": {"alwaysMatch": wanted}}))
            try:
                yield Chromium(client, made["sessionId"])
            finally:
                client.delete(f"/session/{made['sessionId']}")
        finally:
            process.terminate()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return bool(_value(client.get("/status"))["ready"])
    except httpx.TransportError:
        return False


def _value(answer: httpx.Response) -> Any:
    value = answer.json()["value"]
    assert answer.status_code == httpx.codes.OK, value
    return value
