"""What was measured, in the forms of other tools: lm-evaluation-harness and the Hugging Face hub."""
