"""Curation: fetch, read, clean, deduplicate, decontaminate, mix, render and pack."""
