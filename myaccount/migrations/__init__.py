"""The versions of the schema: which one a database has, and how it gets to this program's."""
