"""Operators' passwords: only a slow hash of each is kept (scrypt), which makes guessing slow.

It is made in a thread, one at a time, after the other work of the process: any number of sign-ins delays no order.
"""

import asyncio
import os
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from hashlib import scrypt
from hmac import compare_digest
from typing import Final, NamedTuple
from unicodedata import normalize

from ..errors import Overloaded

LEAST_LENGTH: Final = 12
LENGTH_LIMIT: Final = 200
# How many may wait for the thread. Further ones are refused at once.
WAITING_LIMIT: Final = 8
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
        self._thread = ThreadPoolExecutor(1, "passwords", _come_last)
        self._free = asyncio.Lock()
        self._waiting = 0
        # Checked for names that there are not, so that these take as long.
        self._nobody_s = "$".join(("scrypt", *map(str, COST), _text(bytes(_SALT_BYTES)), _text(bytes(_LENGTH))))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn. Raises Overloaded if too many wait."""
        if self._waiting >= WAITING_LIMIT:
            raise Overloaded("Too many people sign in at once. Try again in a moment.")
        self._waiting += 1
        try:
            async with self._free:
                yield
        finally:
            self._waiting -= 1

    async def hash(self, password: str) -> str:
        """Return what to store of it. Only for whose turn it is."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, hash_password, password)

    async def is_right(self, password: str, stored: str | None) -> bool:
        """Whether it is the password; it is not if none is stored. Only for whose turn it is."""
        check = self._thread.submit(is_right, password, stored or self._nobody_s)
        return await asyncio.wrap_future(check) and stored is not None

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def _come_last() -> None:
    """Let the system run this thread when no other thread of the machine wants to run."""
    if sys.platform == "linux":
        # On Linux, a thread has a priority of its own.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
