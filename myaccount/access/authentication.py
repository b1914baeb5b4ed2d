"""Authentication: who has a key or a token."""

import asyncio
import logging
from functools import partial
from typing import Final

from ..database.database import Database
from ..errors import RequestError
from ..system.cancellation import raise_if_cancelled
from .callers import Caller
from .key_cache import KnownKeys
from .key_rows import find_keys
from .rates import Rates
from .signing import KEEP_SECONDS, Signing, follow_time, read_signing
from .snapshots import Snapshot
from .tokens import owner_of_token
from .turns import Turns

_logger: Final = logging.getLogger(__name__)


class Authenticator:
    """Knows all keys as they were a second ago, and the key that signs tokens.

    Each method raises Unavailable if the database fails, and Overloaded if too many wait for it.
    """

    def __init__(self, database: Database, rates: Rates) -> None:
        self.rates = rates
        self.turns = Turns()
        self._database = database
        self._keys = Snapshot(self._read_keys)
        self._first_signing = Snapshot(partial(database.read, read_signing, reserved=True))
        self._signing: Signing | None = None
        self._keeping_time: asyncio.Task[None] | None = None

    async def owner_of_key(self, header: str) -> Caller | None:
        """Return who has the key in an Authorization header, or None if it does not work."""
        keys = self._keys.current() or await self._keys.refreshed()
        return keys.find(header)

    def known_owner_of_key(self, header: str) -> Caller | None:
        """Return who has the key, or None if there is none, it does not work or the keys must be read first."""
        keys = self._keys.current()
        return None if keys is None else keys.find(header)

    async def owner_of_token(self, token: str) -> Caller | None:
        """Return whose token it is, or None if it does not work."""
        return owner_of_token(token, await self.signing())

    async def signing(self) -> Signing:
        if self._signing is None:
            signing = await self._first_signing.refreshed()
            # Another request may have read it later. There is one clock.
            self._signing = self._signing or signing
        return self._signing

    def keep_time(self) -> None:
        """From now on follow the database's time, and warn if it cannot be right."""
        self._keeping_time = asyncio.create_task(self._keep_time(), name="keeping the time")

    async def _keep_time(self) -> None:
        fault = ""
        while True:
            try:
                clock = (await self.signing()).clock
                before, fault = fault, await follow_time(self._database, clock)
                if fault and not before:
                    _logger.warning("About %s.", fault)
            except RequestError as error:
                _logger.info("The time was not stored: %s", error.cause)
            except Exception:
                _logger.exception("The time could not be stored. It is stored again in %s seconds.", KEEP_SECONDS)
            raise_if_cancelled()
            await asyncio.sleep(KEEP_SECONDS)

    async def _read_keys(self) -> KnownKeys:
        signing = await self.signing()
        return KnownKeys(await self._database.read(find_keys, reserved=True), signing.clock.now())

    async def close(self) -> None:
        if self._keeping_time is not None:
            self._keeping_time.cancel()
            await asyncio.wait([self._keeping_time])
        await self._first_signing.close()
        await self._keys.close()
