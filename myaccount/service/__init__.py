"""One use case a function. HTTP and the queue reach the same ones."""
