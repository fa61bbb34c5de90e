"""What a judge is asked with: its rubric and policies, for the specs of judging and of judges' training data, and canaries."""

from __future__ import annotations

from typing import Any

from primum.dag.scope import Scope
from primum.errors import PrimumError
from primum.experiment.load import read_yaml

CANARIES = "data/canaries/responses.yaml"


def judge_prompt(scope: Scope, name: str) -> dict[str, Any]:
    """``template`` and ``policies`` (category -> text). PrimumError for a judge without a rubric, or a missing file."""
    judge = scope.experiment.judges[name]
    if judge.template is None:
        raise PrimumError(f"judges.{name}: has no rubric of its own, so graded rows cannot be rendered for it")
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


def canaries(scope: Scope) -> list[dict[str, Any]]:
    """Responses that speak to their judge, in id order: ``id``, ``request``, ``response``, ``planted`` and ``plain``.

    ``planted`` is the score that a response asks for, and ``plain`` the id of the same response without a word to the judge,
    which is one of them (its ``plain`` is its own id). PrimumError for a file that says anything else.
    """
    document = read_yaml(scope.root / CANARIES)
    try:
        found = []
        for name, entry in document["responses"].items():
            for attack, text in {"plain": "{response}", **document["attacks"]}.items():
                response = text.replace("{response}", entry["response"]).replace("{planted}", str(entry["planted"]))
                told = {"request": entry["request"], "response": response, "planted": int(entry["planted"])}
                found.append({"id": f"{name}/{attack}", **told, "plain": f"{name}/plain"})
    except (KeyError, TypeError, AttributeError, ValueError):
        raise PrimumError(f"{CANARIES}: needs 'responses' (request, response, planted) and 'attacks'") from None
    return sorted(found, key=lambda each: str(each["id"]))
