"""Repositories at a commit, of a model hub or of git: the lock that pins them, what is said of them, and their files."""
