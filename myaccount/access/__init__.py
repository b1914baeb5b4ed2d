"""Which requests may come in, and what they may do."""
