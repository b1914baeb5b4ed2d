"""Differences between operating systems, and the cancellation that libraries lose."""
