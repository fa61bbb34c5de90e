"""Where a number comes from, why a job runs, and how two runs differ."""
