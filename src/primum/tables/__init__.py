"""Aggregation: scores, verdicts, ledgers, training histories and audits become the eleven tables that people read."""
