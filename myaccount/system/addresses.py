"""Addresses in messages: how they are written, and why listening at one, or connecting to one, failed."""

import errno
import os
import socket
import ssl
from collections.abc import Mapping
from typing import Final

# Of X509_V_ERR_...: the certificate is signed by itself, or by an authority that is not known here.
_UNKNOWN_AUTHORITY: Final = (18, 19, 20, 21)
# OpenSSL's names of what the other side says or sends, where the name alone does not help.
_TLS_FAULTS: Final[Mapping[str, str]] = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a certificate of its clients",
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not know the authority that signed cert",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the server says that cert has expired",
    "WRONG_VERSION_NUMBER": "the server does not answer in TLS at this port",
}


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
        return tls_fault(cause)
    if isinstance(cause, socket.gaierror):
        return str(cause.strerror).lower()
    # Not the error's own text: asyncio's is that a call failed.
    return os.strerror(cause.errno).lower() if isinstance(cause, OSError) and cause.errno else None


def tls_fault(error: ssl.SSLError) -> str:
    """Return what is wrong with a certificate, or what else TLS failed for, and what to do if OpenSSL's words do
    not say it.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = ": name its authority in ca" if error.verify_code in _UNKNOWN_AUTHORITY else ""
        return f"{error.verify_message.rstrip('.')}{advice}"
    reason = str(error.reason or "TLS failed")
    return _TLS_FAULTS.get(reason, reason.replace("_", " ").lower())
