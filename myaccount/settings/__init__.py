"""The configuration: its schema, loading it, and where files are."""
