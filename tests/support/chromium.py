"""A page in Chromium with a real mouse and real keys, over its DevTools protocol."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
_KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), "ArrowRight": (39, ""), "ArrowDown": (40, "")}


class Tab:
    """A tab of a browser. ``errors`` are what its scripts threw and nobody caught."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._loop, self._socket, self._number = loop, socket, 0
        self.errors: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command of the protocol."""
        return self._loop.run_until_complete(self._call(method, parameters))

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            told = json.loads((await self._socket.receive(timeout=120)).data)
            if told.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(told["params"]["exceptionDetails"])[:500])
            if told.get("id") == self._number:
                return dict(told.get("result", {}))

    def open(self, url: str) -> None:
        """Go to an address, with nothing of the page before."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def see(self, script: str) -> Any:
        """The value of an expression in the page."""
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression is true: two minutes at most."""
        end = time.monotonic() + 120
        while not self.see(f"Boolean({script})"):
            assert time.monotonic() < end, (script, self.errors)
            time.sleep(0.02)

    def key(self, name: str) -> None:
        """Press a key where the focus is."""
        code, text = _KEYS[name]
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **typed)

    def click(self, selector: str) -> None:
        """Click in the middle of the first element of a selector, scrolled into sight."""
        found = f"document.querySelector({json.dumps(selector)})"
        box = self.see(f"({found}.scrollIntoView({{block: 'center'}}), {found}.getBoundingClientRect().toJSON())")
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **place)


@contextmanager
def browser(home: Path) -> Iterator[Tab]:
    """A new browser with one tab; its profile is below ``home``."""
    profile = home / "profile"
    environment = {**os.environ, "HOME": str(home)}
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={profile}", "about:blank"]
    loop = asyncio.new_event_loop()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        yield from _tab(loop, profile / "DevToolsActivePort")
    finally:
        process.terminate()
        process.wait(timeout=120)
        loop.close()


def _tab(loop: asyncio.AbstractEventLoop, told: Path) -> Iterator[Tab]:
    end = time.monotonic() + 120
    while not (told.exists() and told.read_text().strip()):
        assert time.monotonic() < end, "chromium does not start"
        time.sleep(0.05)
    port = told.read_text().split()[0]

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return loop.run_until_complete(work)

    async def connect() -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
        session = aiohttp.ClientSession()
        async with session.get(f"http://127.0.0.1:{port}/json") as answer:
            (page,) = [each for each in await answer.json() if each["type"] == "page"]
        return session, await session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)

    session, socket = run(connect())
    tab = Tab(loop, socket)
    for domain in ("Page", "Runtime"):
        tab.call(f"{domain}.enable")
    try:
        yield tab
    finally:
        run(socket.close())
        run(session.close())
