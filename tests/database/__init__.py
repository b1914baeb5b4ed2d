"""Tests of what the service needs from databases: statements, transactions, migrations."""
