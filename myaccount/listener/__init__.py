"""The queue's edge: the relay of committed events, their queues, and live notifications."""
