"""The journal: the writer posts orders in batches, one transaction each; and the books' verification."""
