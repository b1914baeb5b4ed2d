"""The rules of the money: standard library only, no input or output.

Everything that decides about money is in this room, so that property tests can run it by the million
without a database.
"""
