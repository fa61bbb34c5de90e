"""The rows behind the cells of the audits: which samples or pairs a check found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from primum.artifact.manifest import Artifact
from primum.report.items import ItemSet, listed, named
from primum.report.origins import Origins

_COPY = r"\+[0-9]+$"  # a row that a mixture has again


def audit_sets(
    common: Mapping[str, Any], inputs: Mapping[str, Sequence[Artifact]], origins: Origins
) -> Iterator[ItemSet]:
    """A set a model and check: the rows that it found. None where it found none, or counts no rows."""
    for model, audit in listed(common, "audited", inputs.get("audits", ())):
        for check in audit.table(["check", "rows"]).to_pylist():
            if check["rows"]:
                ids = pa.array(check["rows"], pa.string())
                rows = pc.replace_substring_regex(ids, _COPY, "")
                shared = {**named(ids.to_pylist(), rows.to_pylist()), **origins.of(rows)}
                yield ItemSet(f"audits/{model}/{check['check']}", shared, {"": {}}, {"": {}})
