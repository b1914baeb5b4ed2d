"""The SQL. A function takes a connection and leaves the transaction to its caller; the journal owns its own."""
