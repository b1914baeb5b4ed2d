"""Whose key it is."""

import math
import os
import time
from collections.abc import Iterable
from datetime import datetime
from hmac import compare_digest
from typing import Final, NamedTuple

from ..ledger.makers import Maker
from .callers import Caller
from .key_rows import KeyRow, hash_of
from .rates import Rate


class KnownKey(NamedTuple):
    """A key's hash, and its caller until that moment of `time.monotonic`."""

    hash: bytes
    ends_at: float
    caller: Caller | None


# An unknown id takes as long as a wrong secret.
_UNKNOWN: Final = KnownKey(os.urandom(32), math.inf, None)


class KnownKeys:
    """The keys that are not revoked, as of `now`."""

    def __init__(self, rows: Iterable[KeyRow], now: datetime) -> None:
        # Each request compares a number: the clock itself takes longer than all else that is done about a key.
        moment = time.monotonic()
        self._keys = {row.key_id: _known(row, now, moment) for row in rows}

    def find(self, key_id: str, secret: str) -> Caller | None:
        """Return who has the key, or None if it is unknown, wrong or expired."""
        key = self._keys.get(key_id, _UNKNOWN)
        is_right = compare_digest(hash_of(secret), key.hash)
        return key.caller if is_right and time.monotonic() < key.ends_at else None


def _known(row: KeyRow, now: datetime, moment: float) -> KnownKey:
    scopes = frozenset(row.scopes.split(","))
    rate = None if row.rate_per_second is None else Rate(row.name, row.rate_per_second)
    caller = Caller("key", row.key_id, scopes, Maker(row.key_id, scopes), rate)
    ends_at = math.inf if row.expires_at is None else moment + (row.expires_at - now).total_seconds()
    return KnownKey(bytes.fromhex(row.secret_hash), ends_at, caller)
