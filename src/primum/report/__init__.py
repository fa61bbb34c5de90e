"""The report: one self-contained page, made from the tables alone."""
