"""Where a number came from and what it reaches, told from the manifests of a results folder alone."""
