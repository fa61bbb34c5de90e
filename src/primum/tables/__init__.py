"""Aggregation: scores, judgements, ledgers, training histories and audits become the eight tables that people read."""
