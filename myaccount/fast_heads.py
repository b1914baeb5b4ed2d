"""A cache of parsed heads. From the same bytes the parser makes the same message."""

import asyncio
from typing import Any, Final, NamedTuple

from aiohttp.http import RawRequestMessage

from .controller.operation import Operation

# Heads are forgotten as often as this, since they may contain keys, and when there are so many.
HEAD_SECONDS: Final = 1.0
HEADS_LIMIT: Final = 256
# Nearly all heads are much shorter, and one could have as many as arrive at once.
HEAD_BYTES_LIMIT: Final = 2048


class KnownHead(NamedTuple):
    """A head's message, its operation, and the length of the body that it announces.

    `is_checked` means that the check of its requests depends on nothing else, so it need not be made again.
    """

    message: RawRequestMessage
    operation: Operation[Any]
    length: int
    is_checked: bool


class KnownHeads:
    """Heads by their bytes, for HEAD_SECONDS at most."""

    def __init__(self) -> None:
        self._heads: dict[bytes, KnownHead] = {}

    def find(self, head: bytes, length: int) -> KnownHead | None:
        """Return what is known of the head, if a body of that length is a whole one."""
        known = self._heads.get(head)
        return known if known is not None and known.length == length else None

    def remember(self, head: bytes, known: KnownHead) -> None:
        if len(head) > HEAD_BYTES_LIMIT:
            return
        if len(self._heads) >= HEADS_LIMIT:
            self._heads.clear()
        if not self._heads:
            asyncio.get_running_loop().call_later(HEAD_SECONDS, self._heads.clear)
        self._heads[head] = known
