"""The service in this process, on both backends, as its clients see it."""
