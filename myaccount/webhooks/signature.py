"""Symmetric signatures (v1) of Standard Webhooks 1.0, which any of its libraries can verify."""

import base64
import hashlib
import hmac
from collections.abc import Sequence


def signatures(secrets: Sequence[str], webhook_id: str, timestamp_seconds: int, body: str) -> str:
    """Return the value of the header `webhook-signature`: one signature for each secret.

    A secret is `whsec_` and a key in base64.
    """
    signed = f"{webhook_id}.{timestamp_seconds}.{body}".encode()
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}" for key in keys)
