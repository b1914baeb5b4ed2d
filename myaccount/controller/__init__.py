"""The HTTP edge: fields in, a command out; an outcome in, a dict out."""
