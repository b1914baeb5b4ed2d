"""How migration 0001 takes over a database that has no version: the 2018 demo's, above all.

Frozen, like the migration: it imports nothing of the living program, and nothing here follows that program's
changes.
"""
