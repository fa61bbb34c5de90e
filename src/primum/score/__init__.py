"""Benchmarks: log-likelihoods of every choice, item by item."""
