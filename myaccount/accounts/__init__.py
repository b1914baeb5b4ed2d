"""Looking accounts up."""
