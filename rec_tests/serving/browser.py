"""A headless Chromium, spoken to in its own DevTools protocol: no driver, no download."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import axe_core_python
import httpx
import pytest
from websockets.sync.client import connect


def find() -> str:
    """The browser's path; skips the test where there is none, fails it where REC_REQUIRE_SERVERS=1."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "no Chromium on this machine: apt-get install chromium"
        (pytest.fail if os.environ.get("REC_REQUIRE_SERVERS") == "1" else pytest.skip)(reason)
    return found


class Browser:
    """One tab."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [
                find(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={folder}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        port = self._port(folder / "DevToolsActivePort")
        tab = next(tab for tab in httpx.get(f"http://127.0.0.1:{port}/json").json() if tab["type"] == "page")
        self.socket = connect(tab["webSocketDebuggerUrl"], max_size=None, open_timeout=30)
        self.number, self.problems = 0, []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _port(self, file: Path) -> str:
        for _ in range(300):
            assert self.process.poll() is None, "Chromium ended at once"
            if file.exists() and "\n" in (text := file.read_text()):
                return text.split()[0]
            time.sleep(0.1)
        raise AssertionError("Chromium opened no debugging port")

    def call(self, method: str, **params):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(timeout=30))
            self._watch(message)
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]

    def _watch(self, message) -> None:
        """Keep what a developer would see in red, and requests that leave the machine."""
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"])
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(params["args"])
        if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"])
        if method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith(("http://127.0.0.1", "data:", "about:")):
                self.problems.append(url)

    def run(self, script: str):
        """The value of a JavaScript expression, awaited if it is a promise."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script: str, seconds: float = 20):
        """Wait until the expression is true, and return its value."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := self.run(script):
                return value
            time.sleep(0.02)
        raise AssertionError(f"never came true: {script}; problems: {self.problems}")

    def size(
        self, width: int, height: int, phone: bool = False, dark: bool = False, motion: bool = False, scale: int = 1
    ) -> None:
        """How large and of which kind the screen is. Without motion nothing is clicked while it flies."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        wanted = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "no-preference" if motion else "reduce",
        }
        self.call("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in wanted.items()])

    def open(self, url: str) -> None:
        """Go to an address, anew even where only what follows its # differs."""
        self.call("Page.navigate", url="about:blank")
        self.problems.clear()
        self.call("Page.navigate", url=url)

    def press(self, key: str) -> None:
        """A key of the keyboard, by its name."""
        code = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def type(self, text: str) -> None:
        """What is typed goes to what has the focus."""
        self.call("Input.insertText", text=text)

    def violations(self) -> list[str]:
        """What axe-core finds wrong for people who cannot see, point or tell colours apart (WCAG 2 A and AA)."""
        axe = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
        self.run(f"{axe}; true")
        only = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']}"
        told = "({violations}) => violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.html).slice(0, 3).join(' '))"
        return self.run(f"axe.run(document, {only}).then({told})")

    def click(self, selector: str) -> None:
        """A real click of the mouse at the middle of the element."""
        found = f"document.querySelector({selector!r})"
        self.run(f"{found}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        middle = "(({x, y, width, height}) => [x + width / 2, y + height / 2])"
        box = self.run(f"{middle}({found}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=20)
