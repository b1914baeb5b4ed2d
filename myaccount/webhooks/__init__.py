"""Callbacks to endpoints: what each is owed, how it is signed and sent."""
