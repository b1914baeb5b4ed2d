"""Committed events, and their dispatch to inboxes and endpoints (promise 7)."""
