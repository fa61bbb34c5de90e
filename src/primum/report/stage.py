"""The stage ``report``: the page, from the tables. Exact: no dates, no machine, nothing but the spec and the tables."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from primum.artifact.job import Job, Result
from primum.report.audits import audit_grid
from primum.report.changes import change_grid
from primum.report.curation import mixtures, outcomes
from primum.report.data import Study, read_study
from primum.report.explorer import index, item_sets, write_items
from primum.report.figures import (
    accuracy_figure,
    comparison_figure,
    harm_figure,
    refusal_figure,
)
from primum.report.grids import category_grid, harm_grid, refusal_grid
from primum.report.headline import headlines
from primum.report.judged import HARM, REFUSALS
from primum.report.judges import (
    agreement_grid,
    confusion_grid,
    confusion_pictures,
    pairs_of_judges,
    refusals_of_judges,
)
from primum.report.lineage import lineage_tree
from primum.report.mitigation import grid_figure
from primum.report.numbers import count, plural
from primum.report.pairs import pairs_grid
from primum.report.pictures import as_json
from primum.report.rubrics import rubric_grid
from primum.report.skill import accuracy_grid, clean_grid, comparison_grid, subject_grid
from primum.report.trade_offs import trade_offs
from primum.report.training import curve_pictures, training_grid
from primum.report.vendored import SCRIPTS, write_libraries

PAGE = "index.html"
# What the page loads beside the libraries, in this order.
_SCRIPTS = ("tables.js", "figures.js", "curves.js", "made.js")


def run(job: Job) -> Iterator[Result]:
    """A folder with ``index.html`` and what its cells open, for the single item. PrimumError for inputs that do not fit."""
    for item in job.items:
        study = read_study(job.common, item.inputs["tables"])
        folder = item.work / "report"
        shutil.rmtree(folder, ignore_errors=True)
        there = write_items(item_sets(study, job.common, item.inputs), folder)
        write_libraries(folder, items=bool(there))
        page = render(study, job.common, there)
        (folder / PAGE).write_bytes(page.encode("utf-8"))
        for name in _SCRIPTS:
            (folder / name).write_bytes((Path(__file__).parent / name).read_bytes())
        sets = sum(map(len, there.values()))
        job.progress.say(f"{item.name}: {len(page) / 1000:,.0f} kB, and the items of {plural(sets, 'cell')}")
        yield Result(item, folder=folder, counts={"bytes": len(page.encode()), "sets": sets})


def render(
    study: Study,
    common: Mapping[str, Any] = MappingProxyType({}),
    there: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> str:
    """The whole page as HTML, with its tables and values inside. Its scripts lie beside it, and what a cell opens.

    ``common`` is the spec, without which no cell tells what its table read. ``there`` are the
    models of each set of items beside the page.
    """
    mitigation, trade, curves = grid_figure(study), trade_offs(study), curve_pictures(study)
    confusions = confusion_pictures(study)
    pictures = (*(mitigation.pictures if mitigation else ()), *trade, *curves, *confusions)
    environment = Environment(
        loader=PackageLoader("primum.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["count"] = count
    environment.filters["plural"] = plural
    return environment.get_template("page.html.j2").render(
        study=study,
        explorer=index(study, common, there),
        headlines=headlines(study),
        lineage=lineage_tree(study.models),
        benchmarks=accuracy_grid(study, "benchmark", "benchmarks", "Accuracy, %, with 95% intervals"),
        preferences=accuracy_grid(study, "preference", "preferences", "Pairs whose chosen response is likelier, %"),
        subjects=subject_grid(study, "subjects"),
        clean=clean_grid(study, "clean"),
        comparisons=comparison_grid(study, "benchmark", "comparisons"),
        comparison_plot=comparison_figure(study, "benchmark"),
        rubrics=rubric_grid(study, "rubrics-table"),
        harm=harm_grid(study, "harm-table"),
        harm_changes=change_grid(study, "harm-changes", HARM),
        refusal_changes=change_grid(study, "refusal-changes", REFUSALS),
        mitigation=mitigation,
        trade_offs=trade,
        refusal=refusal_grid(study, "refusal-table"),
        categories=category_grid(study, "categories"),
        agreement=agreement_grid(study, "agreement"),
        judge_pairs=pairs_of_judges(study, "judge-pairs"),
        confusion=confusion_grid(study, "confusion"),
        refused=list(refusals_of_judges(study)),
        accuracy_plot=accuracy_figure(study, "benchmark"),
        harm_plot=harm_figure(study),
        refusal_plot=refusal_figure(study),
        curves=curves,
        curve_names=list(dict.fromkeys(curve.name for picture in curves for curve in picture.curves)),
        training=training_grid(study, "training-table"),
        confusions=confusions,
        pictures=as_json(pictures),
        style=Markup((Path(__file__).parent / "figures.css").read_text(encoding="utf-8")),  # noqa: S704 - a file of this package
        scripts=(*SCRIPTS, *_SCRIPTS),
        mixtures=mixtures(study),
        outcomes=outcomes(study),
        audits=audit_grid(study, "audits-table"),
        pairs=pairs_grid(study, "pairs-table"),
    )
