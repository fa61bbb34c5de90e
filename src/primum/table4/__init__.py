"""Published tables beside what was measured here: rendered, and checked against their own sums and claims."""
