"""Judges: harm scores by a rubric, refusals by stock phrases, and a judge's agreement with graded pairs."""
