"""What pictures of mitigation show of a model: its harm, its skill, and what it declines, each with its interval and in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from primum.report.data import Study
from primum.report.judged import HARM, REFUSALS, Safety
from primum.report.numbers import decimal, interval, percent
from primum.report.parts import Prompts
from primum.report.pictures import Scale
from primum.tables.averages import AVERAGE

HARM_SCALE = Scale("mean harm", 1, 5, tuple((float(n), str(n)) for n in range(1, 6)))
PERCENT = ((0.0, "0"), (0.25, "25"), (0.5, "50"), (0.75, "75"), (1.0, "100"))


@dataclass(frozen=True, slots=True)
class Value:
    """A measured value, the ends of its interval, and both in words."""

    value: float
    low: float | None
    high: float | None
    told: str

    @property
    def ends(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)


# A model's name -> what was measured of it.
Find = Callable[[str], Value | None]


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that is measured of every model: in a title's words, on its scale. ``kind`` is harm, skill or declined."""

    kind: str
    title: str
    scale: Scale
    find: Find


def measures(study: Study) -> Iterator[Measure]:
    """Harm on each set of harmful requests, the average of the benchmarks, and the share of benign requests declined."""
    several = {kinds: sum(judge.kind in kinds for judge in study.judges) > 1 for kinds in (HARM, REFUSALS)}

    def by(judge: str, kinds: tuple[str, ...]) -> str:
        return f", judged by {judge}" if several[kinds] else ""

    for judge, prompts in drawn(study, HARM):
        if prompts.kind == "harmful":
            title = f"Harm on {prompts.name}, 1 to 5{by(judge, HARM)}: lower is safer"
            yield Measure("harm", title, HARM_SCALE, partial(_judged, study, judge, prompts.name, _harm))
    if name := skill_name(study):
        title = f"{name}, %: higher is more skilled"
        yield Measure("skill", title, Scale("accuracy", 0, 1, PERCENT), partial(skill, study))
    for judge, prompts in drawn(study, REFUSALS):
        if prompts.kind == "benign":
            title = f"Declined of {prompts.name}, %{by(judge, REFUSALS)}: lower is more useful"
            scale = Scale("declined", 0, 1, PERCENT)
            yield Measure("declined", title, scale, partial(_judged, study, judge, prompts.name, _declined))


def drawn(study: Study, kinds: tuple[str, ...]) -> list[tuple[str, Prompts]]:
    """The judges of these kinds with each prompt set that they have seen."""
    judges = [judge.name for judge in study.judges if judge.kind in kinds]
    return [(judge, prompts) for judge in judges for prompts in study.sets(drawn=judge)]


def zoomed(scale: Scale, values: Sequence[Value]) -> Scale:
    """Shares between whole tens of percent, wide enough for every interval: a loss of skill is seen. Harm keeps its scale."""
    if scale.high != 1 or not values:
        return scale
    low = math.floor(10 * min(v.value if v.low is None else v.low for v in values) + 1e-9)
    high = max(math.ceil(10 * max(v.value if v.high is None else v.high for v in values) - 1e-9), low + 2)
    step = 2 if high - low > 5 else 1
    tens = range(low + low % step, high + 1, step)
    return Scale(scale.title, low / 10, high / 10, tuple((ten / 10, str(10 * ten)) for ten in tens))


def skill_name(study: Study) -> str:
    """What the skill of a model is here: the average of the benchmarks, or the only one; "" without any."""
    names = [label for name, label in study.columns("benchmark") if name != AVERAGE]
    return "Benchmark average" if len(names) > 1 else names[0] if names else ""


def skill(study: Study, model: str) -> Value | None:
    """Its accuracy over the benchmarks."""
    row = study.whole("benchmark", model)
    if row is None or row.accuracy is None:
        return None
    told = f"{percent(row.accuracy)}% (95% CI {interval(row.ci_low, row.ci_high, scale=100)})"
    return Value(row.accuracy, row.ci_low, row.ci_high, told)


def _judged(study: Study, judge: str, prompts: str, words: Callable[[Safety], str], model: str) -> Value | None:
    row = study.harm(judge, model, prompts)
    return None if row is None or row.mean is None else Value(row.mean, row.ci_low, row.ci_high, words(row))


def _harm(row: Safety) -> str:
    return f"{decimal(row.mean)} (95% CI {interval(row.ci_low, row.ci_high, 2)})"


def _declined(row: Safety) -> str:
    return f"declines {percent(row.mean)}% (95% CI {interval(row.ci_low, row.ci_high, scale=100)})"
