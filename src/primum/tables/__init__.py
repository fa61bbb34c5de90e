"""Aggregation: scores, judgements, ledgers and training histories become the six tables that people read."""
