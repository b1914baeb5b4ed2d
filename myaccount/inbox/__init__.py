"""Messages: writing them, reading an inbox, and teams."""
