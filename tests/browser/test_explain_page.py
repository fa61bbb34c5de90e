"""The page of an explanation in a real browser: it unfolds, a reference opens what it names, and a phone has room for it."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from traced_results import traced_results

from primum.trace.explain import explained
from primum.trace.page import write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

# Runs in the frame of a phone's width, as a reader would click.
PROBE = """
const all = [...document.querySelectorAll("details")];
const open = () => all.filter((each) => each.open).length;
const seen = {all: all.length, first: open()};
document.querySelectorAll("button")[1].click();
seen.folded = open();
const reference = [...document.querySelectorAll(".see a")].pop();
reference.click();
addEventListener("hashchange", () => {
  const target = document.getElementById(reference.hash.slice(1)).querySelector("details");
  seen.target = target.open;
  seen.focused = document.activeElement === target.querySelector("summary");
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS" && !at.open) seen.closed = true;
  document.querySelectorAll("button")[0].click();
  seen.unfolded = open();
  seen.wide = [...document.querySelectorAll("body *")].filter(
    (e) => !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.tagName);
  seen.resources = performance.getEntriesByType("resource").map((entry) => entry.name);
  document.documentElement.setAttribute("data-seen", JSON.stringify(seen));
});
"""


def test_it_unfolds_and_a_reference_opens_what_it_names(tmp_path: Path) -> None:
    made = traced_results(tmp_path / "results" / "tiny")
    file = tmp_path / "page.html"
    write_page(explained(made.results, "benchmarks", {"model": "sft"}), file)
    file.write_text(file.read_text().replace("</body>", f"<script>{{{PROBE}}}</script></body>"))
    frame = (
        '<body><iframe id="f" src="page.html" style="width:375px;height:800px;border:0"></iframe><script>'
        "const wait = setInterval(() => { const seen = f.contentDocument.documentElement.dataset.seen;"
        "if (seen) { clearInterval(wait); document.body.append(seen); } }, 50);"
        "</script>"
    )
    (tmp_path / "frame.html").write_text(frame)
    assert CHROMIUM is not None
    asked = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    asked += ["--allow-file-access-from-files", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *asked, (tmp_path / "frame.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    match = re.search(r"\{.*\}", html.unescape(done.stdout.split("</script>")[-1]))
    assert match is not None, done.stdout[-500:]
    seen = json.loads(match.group())
    steps = len(made.by_name)
    assert seen == {
        "all": steps,
        "first": 3,
        "folded": 1,
        "target": True,
        "focused": True,
        "unfolded": steps,
        "wide": [],
        "resources": [],
    }
