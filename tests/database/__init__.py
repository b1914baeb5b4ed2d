"""What the service asks of databases: statements, transactions, migrations."""
