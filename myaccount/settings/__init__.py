"""The configuration: what it may say, how it is loaded, and where files are."""
