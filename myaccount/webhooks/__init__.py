"""Callbacks: pending deliveries to endpoints, their bodies and signatures, and sending them."""
