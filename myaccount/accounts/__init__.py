"""Opening accounts, and looking them up."""
