"""Repositories of a model hub at a commit: the lock that pins them, what the hub says of them, and their files."""
