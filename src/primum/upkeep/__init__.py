"""The store as something that is kept: what it holds, for whom, and what may go."""
