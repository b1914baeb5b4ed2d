"""One picture of the schema, for both databases."""
