"""The HTTP edge. It turns requests into commands, and outcomes into replies."""
