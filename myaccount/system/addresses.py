"""Addresses in messages: how they are written, and why listening at one failed."""

import errno
import os
import socket


def address_text(host: str, port: int) -> str:
    """Return the address as in a URL: an IPv6 host has brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def key_at_fault(error: OSError) -> str:
    """Return which of an address's two keys must change, `host` or `port`."""
    return "port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "host"


def listening_fault(host: str, port: int, error: OSError) -> str:
    """Return the address, why listening at it failed, and what to do."""
    # Newer versions of asyncio set no number for an address of another machine.
    number = error.errno or errno.EADDRNOTAVAIL
    if number == errno.EADDRINUSE:
        # Windows' strerror has no text for it.
        reason = "address already in use: end the program that has it, or name another port"
    else:
        # Not the error's own text, which may name the Python call.
        reason = str(error.strerror if isinstance(error, socket.gaierror) else os.strerror(number)).lower()
    return f"{address_text(host, port)}: {reason}"
