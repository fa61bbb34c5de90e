"""What is asked of Slurm, what a site says of itself, and several processes."""
