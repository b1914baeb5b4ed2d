"""All tables, in SQLAlchemy Core, for both databases."""
