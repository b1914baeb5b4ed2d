"""Addresses in messages: how they are written, and why listening at one, or connecting to one, failed."""

import errno
import os
import socket
import ssl


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


def connection_fault(error: BaseException) -> str | None:
    """Return why the system or TLS refused a connection. None if neither did.

    The text never has the address, which may hold a password.
    """
    # aiohttp's own errors hold the error of the system.
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(cause, ssl.SSLError):
        return str(getattr(cause, "verify_message", None) or cause.reason or "TLS failed")
    if isinstance(cause, socket.gaierror):
        return str(cause.strerror).lower()
    # Not the error's own text: asyncio's is that a call failed.
    return os.strerror(cause.errno).lower() if isinstance(cause, OSError) and cause.errno else None
