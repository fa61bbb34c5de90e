"""The grid of Table 4 as HTML, Markdown and LaTeX. Names are escaped for each; equal grids give equal bytes."""

from __future__ import annotations

import html
import re

from primum.table4.grid import DIFFERENCE, MINUS, MISSING, TITLE, Grid, Line, View

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
caption { text-align: left; font-weight: 600; padding-bottom: .6rem; }
thead th { border-top: 2px solid; border-bottom: 1px solid; }
tbody { border-bottom: 1px solid; }
tbody:last-of-type { border-bottom-width: 2px; }
th, td { padding: .25rem .55rem; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child { text-align: left; font-weight: 400; }
tbody tr:first-child th { font-style: italic; }
small { display: block; color: #555; font-size: .78em; line-height: 1.3; }
sup { line-height: 0; }
td u { text-underline-offset: .15em; }
ul { list-style: none; padding: 0; color: #333; font-size: .9em; }
@media (prefers-color-scheme: dark) { body { background: #161616; color: #eee; } small, ul { color: #bbb; } }
"""


def to_html(grid: Grid) -> str:
    """A page of its own, without scripts or anything fetched."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in grid.header)
    bodies = []
    for size, lines in grid.groups:
        rows = [f'<tr><th scope="rowgroup" colspan="{len(grid.header)}">{html.escape(size)}</th></tr>']
        for line in lines:
            cells = "".join(f"<td>{_html_cell(view)}</td>" for view in line.views)
            rows.append(f'<tr><th scope="row">{html.escape(line.title)}{_sup(line.flags)}</th>{cells}</tr>')
        bodies.append("<tbody>\n" + "\n".join(rows) + "\n</tbody>")
    notes = "".join(f"<li>{_sup(flag)} {html.escape(text)}</li>\n" for flag, text in grid.notes)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(TITLE)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<div class="scroll">\n<table>\n<caption>{html.escape(TITLE)}</caption>\n<thead><tr>{head}</tr></thead>\n'
        + "\n".join(bodies)
        + f"\n</table>\n</div>\n<ul>\n{notes}</ul>\n</body>\n</html>\n"
    )


def _html_cell(view: View) -> str:
    tag = {"best": "b", "second": "u", None: ""}[view.mark]
    text = html.escape(view.published)
    marked = f"<{tag}>{text}</{tag}>" if tag else text
    beside = f"<small>{html.escape(view.difference)}{_sup(view.below)}</small>"
    return (
        marked + _sup(view.flags) + beside + (f"<small>{html.escape(view.interval)}</small>" if view.interval else "")
    )


def _sup(flags: str) -> str:
    return f"<sup>{html.escape(flags)}</sup>" if flags else ""


def to_markdown(grid: Grid) -> str:
    """A table of GitHub's Markdown; second best is underlined by a tag, since Markdown has no underline."""
    lines = [f"**{TITLE}**", "", _pipes(grid.header), _pipes(("---", *["---:"] * (len(grid.header) - 1)))]
    for size, group in grid.groups:
        lines.append(_pipes((f"*{size}*", *[""] * (len(grid.header) - 1))))
        lines += [_pipes((_md(line.title) + _sup(line.flags), *map(_md_cell, line.views))) for line in group]
    lines += ["", *(f"- {_sup(flag)} {_md(text)}" if flag else f"- {_md(text)}" for flag, text in grid.notes)]
    return "\n".join(lines) + "\n"


def _pipes(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _md(text: str) -> str:
    """``text`` with Markdown's and HTML's own characters escaped, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", " ".join(text.split()))


def _md_cell(view: View) -> str:
    marked = {"best": f"**{view.published}**", "second": f"<u>{view.published}</u>", None: view.published}[view.mark]
    beside = f"<br>{_md(view.difference)}{_sup(view.below)}"
    return marked + _sup(view.flags) + beside + (f"<br>{_md(view.interval)}" if view.interval else "")


_TEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",
    "]": "{]}",
    MINUS: "$-$",
    MISSING: "--",
}


def to_latex(grid: Grid) -> str:
    """A ``table*`` for a document that loads booktabs and graphicx; each model has a line more for what was measured."""
    lines = [
        r"% needs \usepackage{booktabs} and \usepackage{graphicx}",
        r"\begin{table*}",
        rf"\caption{{{_tex(TITLE)}.}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * (len(grid.header) - 1)}}}",
        r"\toprule",
        _row([_tex(name) for name in grid.header]),
    ]
    for size, group in grid.groups:
        lines += [r"\midrule", rf"\multicolumn{{{len(grid.header)}}}{{l}}{{\textit{{{_tex(size)}}}}} \\"]
        for line in group:
            lines += _tex_lines(line)
    lines += [r"\bottomrule", r"\end{tabular}}", "", r"\footnotesize"]
    lines += [rf"{_tex_sup(flag)}{_tex(text)}\par" for flag, text in grid.notes]
    return "\n".join([*lines, r"\end{table*}"]) + "\n"


def _tex_lines(line: Line) -> list[str]:
    wrap = {"best": r"\textbf{%s}", "second": r"\underline{%s}", None: "%s"}
    first = [wrap[view.mark] % _tex(view.published) + _tex_sup(view.flags) for view in line.views]
    below = [
        _small(" ".join(filter(None, (view.difference, view.interval)))) + _tex_sup(view.below) for view in line.views
    ]
    return [_row([_tex(line.title) + _tex_sup(line.flags), *first]), _row([rf"\quad{_small(DIFFERENCE)}", *below])]


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _small(text: str) -> str:
    return rf"{{\scriptsize {_tex(text)}}}" if text else ""


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in " ".join(text.split()))


def _tex_sup(flags: str) -> str:
    return rf"\textsuperscript{{{_tex(flags)}}}" if flags else ""


FORMATS = {"html": to_html, "markdown": to_markdown, "latex": to_latex}
