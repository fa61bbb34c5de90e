"""On-policy preference pairs: several responses of a model to each prompt, and their ranking."""
