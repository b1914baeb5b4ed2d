"""The queue's edge: one event in, its handlers called, acknowledged."""
