"""What an RO-Crate's terms mean, without a network: for roc-validator, which looks them up at two addresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import rocrate

_BIOSCHEMAS = "https://bioschemas.org"
_WORKFLOW_RUN = "https://w3id.org/ro/terms/workflow-run"
# The library rocrate has the terms of version 1.3. These are the ones of primum's crates that 1.1 has otherwise.
_OF_1_1 = {
    "ComputationalWorkflow": f"{_BIOSCHEMAS}/ComputationalWorkflow",
    "FormalParameter": f"{_BIOSCHEMAS}/FormalParameter",
    "input": f"{_BIOSCHEMAS}/ComputationalWorkflow#input",
    "output": f"{_BIOSCHEMAS}/ComputationalWorkflow#output",
}


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let roc-validator find the two contexts here, and nothing anywhere else: another address is an error."""
    import requests
    from rocrate_validator.utils.http import HttpRequester

    shipped = json.loads((Path(rocrate.__file__).parent / "data/ro-crate.jsonld").read_text(encoding="utf-8"))
    contexts = {
        "https://w3id.org/ro/crate/1.1/context": {"@context": shipped["@context"] | _OF_1_1},
        f"{_WORKFLOW_RUN}/context": {
            "@context": {name: f"{_WORKFLOW_RUN}#{name}" for name in ("sha256", "resourceUsage", "environment")}
        },
    }

    def get(_: Any, url: str, **__: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url = 200, url
        response.headers["Content-Type"] = "application/ld+json"
        response._content = json.dumps(contexts[url]).encode()
        return response

    monkeypatch.setattr(HttpRequester, "get", get, raising=False)


def problems(folder: Path, profile: str, cache: Path) -> list[str]:
    """What roc-validator finds that a crate must have by a profile, and those that it includes, and has not."""
    from rocrate_validator import services

    settings = services.ValidationSettings(
        rocrate_uri=str(folder),
        profile_identifier=profile,
        requirement_severity="REQUIRED",
        offline=True,
        cache_path=cache,
    )
    result = services.validate(settings)
    assert result.context.profile_identifier.startswith(profile)
    return [f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues()]
