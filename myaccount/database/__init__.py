"""Connections, transactions with their retries, round trips, and what differs by engine."""
