"""Whose key it is."""

import os
from collections.abc import Iterable
from datetime import datetime
from hmac import compare_digest
from typing import Final, NamedTuple

from ..ledger.makers import Maker
from .callers import Caller
from .clock import Clock
from .keys import KeyRow, hash_of


class KnownKey(NamedTuple):
    """A key's hash, and its caller as long as it works."""

    hash: bytes
    expires_at: datetime | None
    caller: Caller | None


# An unknown id takes as long as a wrong secret.
_UNKNOWN: Final = KnownKey(os.urandom(32), None, None)


class KnownKeys:
    """The keys that are not revoked."""

    def __init__(self, rows: Iterable[KeyRow], clock: Clock) -> None:
        self.rows = list(rows)
        self._clock = clock
        self._keys = {row.key_id: _known(row) for row in self.rows}

    def find(self, key_id: str, secret: str) -> Caller | None:
        """Return who has the key, or None if it is unknown, wrong or expired."""
        key = self._keys.get(key_id, _UNKNOWN)
        is_right = compare_digest(hash_of(secret), key.hash)
        if not is_right or (key.expires_at is not None and key.expires_at <= self._clock.now()):
            return None
        return key.caller


def _known(row: KeyRow) -> KnownKey:
    scopes = frozenset(row.scopes.split(","))
    caller = Caller("key", row.key_id, scopes, Maker(row.key_id, scopes), row.rate_per_second)
    return KnownKey(bytes.fromhex(row.secret_hash), row.expires_at, caller)
