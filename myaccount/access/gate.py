"""Finds out who has a key or a token."""

import asyncio

from ..database.database import Database
from .callers import Caller
from .keys import find_keys
from .known_keys import KnownKeys
from .rates import Rates
from .signing import Signing, keep_time, read_signing
from .snapshots import Snapshot
from .tokens import owner_of_token


class Gate:
    """Knows all keys as they were a second ago, and the key that signs tokens.

    Each method raises Unavailable if the database fails.
    """

    def __init__(self, database: Database, rates: Rates) -> None:
        self.rates = rates
        self._database = database
        self._keys = Snapshot(self._read_keys)
        self._signing: Signing | None = None
        self._keeping_time: asyncio.Task[None] | None = None

    async def owner_of_key(self, key_id: str, secret: str) -> Caller | None:
        """Return who has the key, or None if it does not work."""
        keys = self._keys.current() or await self._keys.refreshed()
        return keys.find(key_id, secret)

    async def owner_of_token(self, token: str) -> Caller | None:
        """Return whose token it is, or None if it does not work."""
        return owner_of_token(token, await self.signing())

    async def signing(self) -> Signing:
        if self._signing is None:
            signing = await self._database.read(read_signing, reserved=True)
            # Another request may have read it meanwhile. There is one clock.
            if self._signing is None:
                self._signing = signing
                self._keeping_time = asyncio.create_task(
                    keep_time(self._database, signing.clock), name="keeping the time"
                )
        return self._signing

    async def _read_keys(self) -> KnownKeys:
        signing = await self.signing()
        return KnownKeys(await self._database.read(find_keys, reserved=True), signing.clock.now())

    async def close(self) -> None:
        await self._keys.close()
        if self._keeping_time is not None:
            self._keeping_time.cancel()
            await asyncio.wait([self._keeping_time])
