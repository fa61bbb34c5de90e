"""Aggregation: scores, judgements, ledgers and training histories become the seven tables that people read."""
