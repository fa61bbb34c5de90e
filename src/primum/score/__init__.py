"""Benchmarks, item by item: log-likelihoods of every choice, or the answer of a model that gives none."""
