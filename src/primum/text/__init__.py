"""Rows, conversations, prompts and tokens: what several stages share."""
