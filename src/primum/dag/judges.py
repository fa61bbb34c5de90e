"""What a judge is asked with: the text of its rubric and policies, for the specs of judging and of judges' training data."""

from __future__ import annotations

from typing import Any

from primum.dag.scope import Scope
from primum.errors import PrimumError
from primum.experiment.load import read_yaml


def judge_prompt(scope: Scope, name: str) -> dict[str, Any]:
    """``template`` and ``policies`` (category -> text). PrimumError for a judge without a rubric, or a missing file."""
    judge = scope.experiment.judges[name]
    if judge.template is None:
        raise PrimumError(f"judges.{name}: is not a rubric judge, so graded rows cannot be rendered for it")
    policies: dict[str, str] = {"default": ""}
    if judge.policies is not None:
        policies = {str(key): str(value) for key, value in read_yaml(scope.root / judge.policies).items()}
    return {"template": rubric(scope, judge.template), "policies": policies}


def rubric(scope: Scope, path: str) -> str:
    """The text of a rubric's template. PrimumError where the project has no such file."""
    try:
        return (scope.root / path).read_text(encoding="utf-8")
    except OSError:
        raise PrimumError(f"{path}: no such file in the project") from None
