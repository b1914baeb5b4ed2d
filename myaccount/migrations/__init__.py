"""The schema's versions: which one a database has, and its upgrade to this program's."""
