"""The one error class that users see."""


class PrimumError(Exception):
    """An error with a one-line message that names the file, key or row and the remedy."""
