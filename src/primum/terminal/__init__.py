"""What people see while ``snakemake`` runs: one live line for the whole run, or plain lines where there is no terminal."""
