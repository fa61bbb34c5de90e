"""One line for each job that failed. The default profile's ``quiet`` hides Snakemake's own page about it, shell command and
spec included, and of a job on a cluster nothing else would be said where people look.
"""

from __future__ import annotations

import logging
import sys


class FailureLines(logging.Handler):
    """Prints which job failed, why (as a cluster tells it), and where its log is; for Snakemake's logger."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(getattr(record, "event", None), "name", "") != "JOB_ERROR":
            return
        try:
            # Snakemake adds nothing but advice behind the first sentences.
            reason = str(getattr(record, "rule_msg", None) or "failed").partition(" For further error details")[0]
            logs = ", ".join(map(str, getattr(record, "log", None) or ()))
            made = " ".join(list(getattr(record, "output", None) or ())[:1])
            print(
                f"error: {getattr(record, 'rule_name', '?')} ({made}): {reason}; log: {logs}",
                file=sys.stderr,
                flush=True,
            )
        except Exception:
            self.handleError(record)
