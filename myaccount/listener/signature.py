"""Signatures as Standard Webhooks 1.0 has them (symmetric, v1), so that any of its libraries verifies ours."""

import base64
import hashlib
import hmac


def signature(secret: str, webhook_id: str, timestamp_seconds: int, body: str) -> str:
    """Return the header `webhook-signature`; the secret is `whsec_` and a key in base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{webhook_id}.{timestamp_seconds}.{body}".encode()
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"
