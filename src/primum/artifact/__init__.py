"""Content-addressed artifacts: canonical specs, code digests, Parquet tables, model folders, manifests and the store."""
