"""The money rules: pure functions on the standard library alone, without input or output.

All decisions about money are here, so that property tests can run them by the million without a database.
"""
