"""Scores and data in the forms of other tools: lm-evaluation-harness, the Hugging Face hub, Croissant."""
