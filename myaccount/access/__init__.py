"""Which requests may come in."""
