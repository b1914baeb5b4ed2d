"""Operators' passwords: only a slow hash of each is kept (scrypt), which makes guessing slow.

It is made in a thread, one at a time and with pauses: any number of sign-ins leaves the processor to orders.
"""

import asyncio
import os
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from hashlib import scrypt
from hmac import compare_digest
from typing import Final, NamedTuple, TypeVar
from unicodedata import normalize

from ...errors import Overloaded

Result = TypeVar("Result")

LEAST_LENGTH: Final = 12
LENGTH_LIMIT: Final = 200
# How many may wait for the thread. Further ones are refused at once.
WAITING_LIMIT: Final = 8
# After a hash, the next waits this many times as long as that took: the thread has a tenth of a processor. It has
# no lower priority: while the system lets it wait, it may hold Python's lock, for which all other threads wait.
PAUSE_FACTOR: Final = 9
PAUSE_LIMIT_SECONDS: Final = 2.0
_LENGTH: Final = 32
_SALT_BYTES: Final = 16
_MEMORY_LIMIT_BYTES: Final = 64 * 2**20


class Cost(NamedTuple):
    """The parameters of scrypt: this takes 32 MiB, and a fifth of a second."""

    n: int = 2**15
    r: int = 8
    p: int = 3


COST: Final = Cost()


class PasswordRefused(Exception):
    """The password is no good one."""


def check_new(password: str) -> None:
    """Raise PasswordRefused if nobody should have this password."""
    if not LEAST_LENGTH <= len(password) <= LENGTH_LIMIT:
        raise PasswordRefused(f"a password has {LEAST_LENGTH} to {LENGTH_LIMIT} characters.")


def hash_password(password: str) -> str:
    salt = os.urandom(_SALT_BYTES)
    parts = (*map(str, COST), _text(salt), _text(_scrypt(password, salt, COST)))
    return f"scrypt${'$'.join(parts)}"


def is_right(password: str, stored: str) -> bool:
    """Whether it is the password of which this hash is stored."""
    _, *numbers, salt, key = stored.split("$")
    return compare_digest(_scrypt(password, b64decode(salt), Cost(*map(int, numbers))), b64decode(key))


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    # Keyboards write one letter in several ways.
    letters = normalize("NFC", password).encode("utf-8", "surrogatepass")
    return scrypt(letters, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=_MEMORY_LIMIT_BYTES, dklen=_LENGTH)


def _text(value: bytes) -> str:
    return b64encode(value).decode()


class Passwords:
    """Hashes and checks passwords, one at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "passwords")
        self._free = asyncio.Lock()
        self._waiting = 0
        # By the monotonic clock.
        self._paused_until = 0.0
        # An unknown name is checked against this hash, so that the answer takes as long.
        self._nobody_s = "$".join(("scrypt", *map(str, COST), _text(bytes(_SALT_BYTES)), _text(bytes(_LENGTH))))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn. Raises Overloaded if too many wait."""
        if self._waiting >= WAITING_LIMIT:
            raise Overloaded("Too many people sign in at once. Try again in a moment.")
        self._waiting += 1
        try:
            async with self._free:
                await asyncio.sleep(self._paused_until - time.monotonic())
                yield
        finally:
            self._waiting -= 1

    async def hash(self, password: str) -> str:
        """Return what to store of it. Only for whose turn it is."""
        return await self._run(hash_password, password)

    async def is_right(self, password: str, stored: str | None) -> bool:
        """Whether it is the password; it is not if none is stored. Only for whose turn it is."""
        return await self._run(is_right, password, stored or self._nobody_s) and stored is not None

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[..., Result], *arguments: str) -> Result:
        began = time.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        finally:
            ended = time.monotonic()
            self._paused_until = ended + min(PAUSE_FACTOR * (ended - began), PAUSE_LIMIT_SECONDS)
