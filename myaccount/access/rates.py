"""How many requests a second each key may send."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple


class Rate(NamedTuple):
    """The limit of all keys with one name."""

    name: str
    per_second: int


class Granted(NamedTuple):
    """How many requests of a second may come, and whether more of that second may be asked for."""

    requests: int
    more: bool = False


# Asked for requests of a second, by its number.
Take = Callable[[Rate, int], Awaitable[Granted]]


async def take_all(rate: Rate, second: int) -> Granted:
    """Grant the whole rate: that of a process that counts alone."""
    return Granted(rate.per_second)


class Rates:
    """Counts the requests of keys; `take` grants them, several at once, so that few requests wait for it."""

    def __init__(self, take: Take = take_all) -> None:
        self._take = take
        # The current second of each name.
        self._seconds: dict[str, _Second] = {}

    async def allow(self, rate: Rate) -> bool:
        """Count a request; return whether it is within the rate."""
        second = self._current(rate)
        if not second.left and second.more:
            async with second.lock:
                # Another request may have asked meanwhile.
                if not second.left and second.more:
                    second.left, second.more = await self._take(rate, second.number)
        return second.count()

    def allow_now(self, rate: Rate) -> bool:
        """Count a request if it is granted already; return whether it is. If not, `allow` tells."""
        return self._current(rate).count()

    def _current(self, rate: Rate) -> "_Second":
        number = int(time.time())
        second = self._seconds.get(rate.name)
        if second is None or second.number != number:
            second = self._seconds[rate.name] = _Second(number)
        return second


class _Second:
    """What this process has left of a second's requests of one name."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.left = 0
        self.more = True
        self.lock = asyncio.Lock()

    def count(self) -> bool:
        """Count a request if one is left; return whether it was."""
        if not self.left:
            return False
        self.left -= 1
        return True
