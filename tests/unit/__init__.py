"""Rules, parsers and files, without a server."""
