"""Aggregation: scores, judgements, ledgers, training histories and audits become the nine tables that people read."""
