"""Responses of a model to sets of requests."""
