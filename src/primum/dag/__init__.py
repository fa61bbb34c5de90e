"""The DAG: every stage, its jobs, what they read and make, and what runs again."""
