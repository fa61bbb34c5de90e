"""Looking at what a run made, and checking it."""
