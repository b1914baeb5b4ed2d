"""The journal: orders are posted in batches, one transaction each, and the books are verified."""
