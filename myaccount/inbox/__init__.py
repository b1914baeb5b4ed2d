"""Messages: writing and reading them, feeds for live streams, and teams."""
