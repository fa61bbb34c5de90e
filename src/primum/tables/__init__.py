"""Aggregation: scores, verdicts, ledgers, training histories and audits become the twelve tables that people read."""
