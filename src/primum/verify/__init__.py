"""``primum verify``: a results folder against itself. It reads and hashes, and runs no model."""
