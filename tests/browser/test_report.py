"""The page in a real browser: it runs under its own policy, sorts, draws, fits a phone, and asks the network for nothing.

Axe finds nothing in it: vendor/axe.min.js is axe-core 4.14.1 of the npm registry (MPL-2.0), as its authors publish it.
"""

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
from typing import Any

import pytest
import study

from primum.report import grids

AXE = Path(study.__file__).parent / "vendor/axe.min.js"
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
# Both run after the page's own script, as a reader would click, and write what they saw into the document.
FITS = """
const fits = () => ({
  wide: [...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, .skip, svg") &&
    e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.tagName),
  scrolls: document.documentElement.scrollWidth > innerWidth,
});
const say = (seen) => document.documentElement.setAttribute("data-seen", JSON.stringify(seen));
"""
SORT = f"""{FITS}
const head = document.querySelectorAll("#benchmarks thead th")[8];
const column = () => [...document.querySelectorAll("#benchmarks tbody tr")].map((row) => Number(row.cells[8].dataset.v));
const seen = {{}};
head.querySelector("button").click();
Object.assign(seen, {{ down: column(), state: head.getAttribute("aria-sort") }});
head.querySelector("button").click();
Object.assign(seen, {{ up: column(), foot: document.querySelector("#benchmarks tfoot th").textContent, ...fits() }});
addEventListener("load", () => {{
  const filter = document.getElementById("categories").closest(".scroll").previousElementSibling;
  filter.querySelector("input").value = "Med-Safety 3";
  filter.querySelector("input").dispatchEvent(new Event("input"));
  const left = [...document.querySelectorAll("#categories tbody:not([hidden]) tr:not([hidden])")];
  say({{ ...seen, filtered: [filter.textContent, ...left.map((row) => row.cells[0].textContent)],
    large: [...document.querySelectorAll("table.sortable")].filter((each) =>
      each.querySelectorAll("tbody:not(.heading) tr").length > 9).length,
    filters: document.querySelectorAll(".filter").length }});
}});
"""
READ = f"""</script><script src="axe.min.js"></script><script>{FITS}
const errors = [];
addEventListener("error", (event) => errors.push(String(event.message)));
addEventListener("unhandledrejection", (event) => {{ errors.push(String(event.reason)); say({{ errors }}); }});
const until = async (done) => {{ while (!done()) await new Promise((go) => setTimeout(go, 50)); }};
// All DPO begins at one place, as it does where the reference is the start.
const data = document.getElementById("pictures"), values = JSON.parse(data.textContent);
values.find((each) => each.id === "dpo-loss").curves.forEach((each) => {{ each.values[0] = [1, 0.6931]; }});
data.textContent = JSON.stringify(values);
addEventListener("load", async () => {{
  const rooms = [...document.querySelectorAll(".picture")];
  await until(() => rooms.every((room) => room.querySelector(".plot-box svg")));
  document.querySelectorAll("details").forEach((each) => {{ each.open = true; }});
  document.querySelectorAll(".job")[3].click();
  const loss = document.querySelector("[data-picture=loss]");
  const letters = (element) => element.textContent.replace(/[\\s\u200b]/g, "");
  const told = rooms.map((room) => {{
    const box = room.querySelector(".plot-box");
    const press = (key) => {{
      box.dispatchEvent(new KeyboardEvent("keydown", {{ key }}));
      return ["[aria-label=tip] text", ".heard"].map((each) => letters(room.querySelector(each)));
    }};
    box.focus();
    const first = ["ArrowRight", "ArrowDown", "ArrowUp", "ArrowRight"].map(press);
    box.blur();
    return first;
  }});
  loss.querySelector(".plot-box").focus();
  loss.querySelector(".plot-box").dispatchEvent(new KeyboardEvent("keydown", {{ key: "ArrowRight" }}));
  const first = primumFigures.pictures.find((each) => each.id === "loss").curves[0].values[0][1];
  let saved = null;
  URL.createObjectURL = (blob) => {{ saved = blob; return "#"; }};
  loss.querySelector(".save").click();
  const losses = saved;
  document.querySelector("#made .save").click();
  const jobs = saved;
  const found = await axe.run(document, {{ resultTypes: ["violations"] }});
  say({{
    axe: found.violations.map((each) => [each.id, ...each.nodes.slice(0, 3).map((node) => node.target.join(" "))]),
    moved: [...document.querySelectorAll(".picture .plot-box")].filter((each) =>
      each.offsetHeight !== parseFloat(getComputedStyle(each).getPropertyValue("--room"))).map((each) => each.ariaLabel),
    errors, told, pictures: rooms.length, drawn: document.querySelectorAll(".plot-box svg:not(.told)").length, ...fits(),
    resources: performance.getEntriesByType("resource").map((entry) => entry.name),
    made: document.getElementById("made-told").textContent,
    jobs: [...document.querySelectorAll(".job")].map((each) => each.getAttribute("aria-label")),
    opened: [...document.querySelectorAll(".opened .to")].map((each) => each.textContent),
    heard: [loss.querySelector(".heard").textContent], value: first,
    first: new Intl.NumberFormat("en", {{ maximumSignificantDigits: 4 }}).format(first), rows: (await losses.text()).split("\\n"),
    written: (await jobs.text()).split("\\n").slice(0, 2),
    dark: matchMedia("(prefers-color-scheme: dark)").matches, page: getComputedStyle(document.body).backgroundColor,
  }});
}});
"""
RUN = [
    {
        "name": name,
        "stage": stage,
        "kind": kind,
        "inputs": inputs,
        "seconds": seconds,
        "host": "node-1",
        "gpus": ["H200"],
    }
    | {"counts": {"rows": 3}, "cost": {"seconds": 1.5, "prompt_tokens": 750} if stage == "score" else {}}
    for name, stage, kind, inputs, seconds in (
        ("data/raw/a", "fetch", "folder", [], 2.0),
        ("data/rows/a", "read", "table", [0], 3.0),
        ("models/m", "sft", "folder", [1], 60.0),
        ("scores/m/x", "score", "table", [1, 2], 10.0),
        ("scores/m/y", "score", "table", [2], 20.0),
        ("tables/t", "tables", "table", [3, 4, 6], 5.0),
    )
] + [{"name": "", "inputs": [], "lost": True}]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    common, inputs = study.example(folder / "in")
    with pytest.MonkeyPatch.context() as patch:
        # So that nine principles and their mean are a large table.
        patch.setattr(grids, "LARGE", 9)
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
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def probed(page: Path, tmp_path: Path, probe: str, *windows: tuple[int, str]) -> list[dict[str, Any]]:
    """What the probe saw in a window of each width and colour scheme. Frames stand for windows: chromium's own has a minimum."""
    folder = tmp_path / "experiment/report"
    shutil.copytree(page.parent, folder)
    shutil.copyfile(AXE, folder / "axe.min.js")
    text = page.read_text(encoding="utf-8").replace("</body>", f"<script>{probe}</script></body>")
    (folder / "probed.html").write_text(text, encoding="utf-8")
    (folder.parent / "report.run.js").write_text(f"primumRun({json.dumps({'artifacts': RUN})});", encoding="utf-8")
    frames = "".join(
        f'<iframe src="probed.html" style="width:{width}px;height:900px;border:0;color-scheme:{scheme}"></iframe>'
        for width, scheme in windows
    )
    wait = """
    const look = setInterval(() => {
      const seen = [...document.querySelectorAll("iframe")].map((f) => f.contentDocument.documentElement.dataset.seen);
      if (!seen.every(Boolean)) return;
      clearInterval(look);
      document.body.replaceChildren(Object.assign(document.createElement("pre"), { textContent: `[${seen}]` }));
    }, 100);
    """
    (folder / "frame.html").write_text(f"<body>{frames}<script>{wait}</script>", encoding="utf-8")
    patience = ("--allow-file-access-from-files", "--virtual-time-budget=120000")
    shown = browse(tmp_path, *patience, "--dump-dom", (folder / "frame.html").as_uri())
    match = re.search(r"<pre>(.*)</pre>", shown, re.DOTALL)
    assert match is not None, shown[-500:]
    seen: list[dict[str, Any]] = json.loads(html.unescape(match.group(1)))
    return seen


def test_the_browser_shows_the_tables(page: Path, tmp_path: Path) -> None:
    shown = browse(tmp_path, "--dump-dom", page.as_uri())
    assert shown.count("<table") == shown.count("<caption") == 20
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
        "training-table",
        "pairs-table",
        "ledger-0",
        "overlap-0",
    ):
        assert f'id="{name}"' in shown
    assert "</html>" in shown
    assert "It is not there, or this browser runs no scripts." in shown, "no report.run.js lies beside this one"


def test_the_page_asks_for_nothing(served: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = served
    assert "<h1>" in browse(tmp_path, "--dump-dom", address)
    # A browser asks for the icon of any page by itself.
    own = ("vendor/d3.min.js", "vendor/plot.min.js", "tables.js", "figures.js", "curves.js", "made.js", "report.run.js")
    assert {path for path in asked if path != "/favicon.ico"} == {"/index.html", *(f"/{name}" for name in own)}


def test_columns_sort_and_the_page_fits(page: Path, tmp_path: Path) -> None:
    for seen in probed(page, tmp_path, SORT, (360, "light"), (1180, "light")):
        down, up = seen["down"], seen["up"]
        assert len(down) == 7
        assert down == sorted(down, reverse=True)
        assert up == sorted(up)
        assert (seen["state"], seen["foot"]) == ("descending", "Chance")
        assert (seen["wide"], seen["scrolls"]) == ([], False)
        assert seen["filtered"] == ["1 of 10 rows", "med-safety", "principle-3"]
        assert seen["filters"] == seen["large"] > 0, "small tables need none"


def test_everybody_can_read_it_and_its_pictures_are_drawn(page: Path, tmp_path: Path) -> None:
    """In a light, a dark and a narrow window, with all that unfolds unfolded and a job chosen."""
    windows = [(1500, "light"), (1180, "dark"), (360, "light")]
    light, dark, narrow = probed(page, tmp_path, READ, *windows)
    for seen in (light, dark, narrow):
        assert seen["errors"] == []
        assert seen["axe"] == []
        assert seen["pictures"] == seen["drawn"] > 8
        assert seen["moved"] == [], "a picture takes the room that was kept for it, so that nothing below it moves"
        assert (seen["wide"], seen["scrolls"]) == ([], False)
        assert [name for name in seen["resources"] if not name.startswith("file:")] == []
        # 2 + 3 + 60 + 10 + 20 + 5 seconds of six artifacts; scores/m is one job; the longest way is without scores/m/x.
        told = "6 artifacts came of 5 jobs in 1 min 40 s of work, on node-1, H200. The longest way through them takes 1 min 30 s"
        assert seen["made"].startswith(told)
        assert (
            "It cost 1,500 tokens read. 1 of their inputs is no longer in the results, and not drawn." in seen["made"]
        )
        assert seen["jobs"] == ["fetch a, 2.0 s", "read a, 3.0 s", "sft m, 1 min 0 s", "score m, 30 s", "tables, 5.0 s"]
        assert seen["opened"] == ["read a", "sft m", "tables"]
        assert seen["heard"][0] == "Tiny base, step 1: " + seen["first"]
        told = [words for picture in seen["told"] for words in picture]
        assert [tip for tip, _ in told] == [heard for _, heard in told], "of several points it is the chosen one"
        assert len(told) == 4 * seen["pictures"]
        assert seen["rows"][:2] == ["model,of,step,value", f"Tiny base,training,1,{seen['value']}"]
        assert seen["written"] == [
            *("stage,job,artifacts,seconds,on_longest_way,machines,cost,finished", 'fetch,a,1,2,true,"node-1, H200",,'),
        ]
    assert [seen["dark"] for seen in (light, dark, narrow)] == [False, True, False]
    assert light["page"] != dark["page"], "dark differs from light"
