"""Aggregation: scores, verdicts, ledgers, training histories and audits become the ten tables that people read."""
