"""The page in a real browser: it runs under its own policy, sorts, fits a phone, and asks the network for nothing."""

from __future__ import annotations

import html
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import study

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
# Runs after the page's own script, as a reader would click; it writes what it saw into the document.
PROBE = """
const seen = {};
const body = () => [...document.querySelectorAll("#benchmarks tbody tr")].map((row) => row.cells[0].textContent.trim());
const head = (index) => document.querySelectorAll("#benchmarks thead th")[index];
seen.before = body();
head(8).querySelector("button").click();
seen.down = [...document.querySelectorAll("#benchmarks tbody tr")].map((row) => Number(row.cells[8].dataset.v));
seen.state = head(8).getAttribute("aria-sort");
head(8).querySelector("button").click();
seen.up = [...document.querySelectorAll("#benchmarks tbody tr")].map((row) => Number(row.cells[8].dataset.v));
seen.foot = document.querySelector("#benchmarks tfoot th").textContent;
seen.wide = [...document.querySelectorAll("body *")].filter(
  (e) => !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.tagName);
seen.scrolls = document.documentElement.scrollWidth > innerWidth;
seen.resources = performance.getEntriesByType("resource").map((entry) => entry.name);
document.documentElement.setAttribute("data-seen", JSON.stringify(seen));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    common, inputs = study.example(folder / "in")
    return study.make_report(common, study.make_tables(common, inputs, folder), folder / "work")


class Recorder(http.server.SimpleHTTPRequestHandler):
    """Serves one folder and notes every path that is asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def served(page: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Recorder,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: handler(*args, directory=str(page.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/index.html", asked
    server.shutdown()


def browse(tmp_path: Path, *arguments: str) -> str:
    assert CHROMIUM is not None
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *arguments]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def probed(page: Path, tmp_path: Path, width: int) -> dict[str, object]:
    """What the probe saw in a window of this width. A frame stands for the window: chromium's own has a minimum."""
    text = page.read_text(encoding="utf-8").replace("</body>", f"<script>{PROBE}</script></body>")
    (tmp_path / "probed.html").write_text(text, encoding="utf-8")
    frame = (
        f'<body><iframe id="f" src="probed.html" style="width:{width}px;height:900px;border:0"></iframe><script>'
        'onload = () => document.body.append(f.contentDocument.documentElement.dataset.seen || "nothing");</script>'
    )
    (tmp_path / "frame.html").write_text(frame, encoding="utf-8")
    shown = browse(tmp_path, "--allow-file-access-from-files", "--dump-dom", (tmp_path / "frame.html").as_uri())
    match = re.search(r"\{.*\}", html.unescape(shown.split("</script>")[-1]))
    assert match is not None, shown[-500:]
    seen: dict[str, object] = json.loads(match.group())
    return seen


def test_the_browser_shows_the_tables(page: Path, tmp_path: Path) -> None:
    shown = browse(tmp_path, "--dump-dom", page.as_uri())
    assert shown.count("<table") == shown.count("<caption") == 19
    for name in (
        "benchmarks",
        "preferences",
        "harm-table",
        "harm-changes",
        "refusal-changes",
        "refusal-table",
        "agreement",
        "confusion",
        "subjects",
        "categories",
        "audits-table",
        "pairs-table",
        "ledger-0",
        "overlap-0",
    ):
        assert f'id="{name}"' in shown
    assert "</html>" in shown


def test_the_page_asks_for_nothing(served: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = served
    assert "<h1>" in browse(tmp_path, "--dump-dom", address)
    # A browser asks for the icon of any page by itself.
    assert [path for path in asked if path != "/favicon.ico"] == ["/index.html"]


@pytest.mark.parametrize("width", [360, 1180])
def test_columns_sort_and_the_page_fits(page: Path, tmp_path: Path, width: int) -> None:
    seen = probed(page, tmp_path, width)
    down, up = seen["down"], seen["up"]
    assert isinstance(down, list)
    assert isinstance(up, list)
    assert len(down) == 7
    assert down == sorted(down, reverse=True)
    assert up == sorted(up)
    assert (seen["state"], seen["foot"]) == ("descending", "Chance")
    assert (seen["wide"], seen["scrolls"], seen["resources"]) == ([], False, [])


def test_a_screenshot_is_drawn_light_and_dark(page: Path, tmp_path: Path) -> None:
    sizes = set()
    for scheme in (0, 1):
        shot = tmp_path / f"{scheme}.png"
        setting = f"--blink-settings=preferredColorScheme={scheme}"
        browse(tmp_path, setting, "--window-size=1180,900", f"--screenshot={shot}", page.as_uri())
        sizes.add(shot.read_bytes())
    assert len(sizes) == 2, "dark differs from light"
