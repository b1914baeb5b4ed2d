"""Whose key it is."""

import math
import os
import re
import time
from collections.abc import Iterable
from datetime import datetime
from hmac import compare_digest
from typing import Final, NamedTuple

from ..ledger.makers import Maker
from .callers import Caller
from .key_rows import KEY_PATTERN, KeyRow, hash_of
from .rates import Rate

KEY_HEADER: Final = re.compile(f"(?i:bearer) +{KEY_PATTERN}")
SHORTEST_HEADER: Final = len("Bearer mak__") + 12 + 64


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
        # Headers whose secret was right, so that a key costs one hash and not one a request.
        self._proved: dict[str, KnownKey] = {}

    def find(self, header: str) -> Caller | None:
        """Return who has the key in an Authorization header: None if there is none, or it does not work.

        How long that takes tells nothing of a secret: a dict compares two headers only if their hashes, which are
        random, are equal.
        """
        key = self._proved.get(header) or self._prove(header)
        return None if key is None or time.monotonic() >= key.ends_at else key.caller

    def _prove(self, header: str) -> KnownKey | None:
        match = KEY_HEADER.fullmatch(header)
        if match is None:
            return None
        key_id, secret = match.groups()
        key = self._keys.get(key_id, _UNKNOWN)
        if not compare_digest(hash_of(secret), key.hash):
            return None
        # A longer header only has more spaces. Headers of any length would fill the memory.
        if len(header) <= SHORTEST_HEADER:
            self._proved[header] = key
        return key


def _known(row: KeyRow, now: datetime, moment: float) -> KnownKey:
    scopes = frozenset(row.scopes.split(","))
    rate = None if row.rate_per_second is None else Rate(row.name, row.rate_per_second)
    caller = Caller("key", row.key_id, scopes, Maker(row.key_id, scopes), rate)
    ends_at = math.inf if row.expires_at is None else moment + (row.expires_at - now).total_seconds()
    return KnownKey(bytes.fromhex(row.secret_hash), ends_at, caller)
