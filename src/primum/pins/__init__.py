"""``primum pin`` and ``primum mirror``: which revisions an experiment means, and all that it reads in one folder."""
