"""Why the database failed, as the driver and the operating system say it."""

import os
import socket
import ssl

from ..system.addresses import tls_fault


def reason_of(error: BaseException) -> str:
    """Return the driver's message and the operating system's, without the statement and its parameters."""
    error = getattr(error, "orig", None) or error
    words = str(error.args[-1]) if error.args else type(error).__name__
    cause = error.__cause__
    if not isinstance(cause, OSError):
        return words
    if isinstance(cause, ssl.SSLError):
        # The driver's words are only that a connection failed, or OpenSSL's with a line of its source.
        return f"TLS failed: {tls_fault(cause)}"
    if isinstance(cause, socket.gaierror) or cause.errno is None:
        return f"{words} ({cause.strerror or type(cause).__name__})"
    return f"{words} ({os.strerror(cause.errno)})"
