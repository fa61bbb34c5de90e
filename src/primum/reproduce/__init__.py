"""Artifacts made again, here or elsewhere, and compared with what was claimed."""
