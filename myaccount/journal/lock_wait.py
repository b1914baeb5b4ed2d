"""How long a batch waits for its accounts' rows before it goes on without the locked ones."""

from collections.abc import Collection
from typing import Final

from ..ledger.references import Reference

# Short, since only orders that want a row that is locked for longer are delayed. But batches of other processes
# lock a hot account for some milliseconds each.
LEAST_MILLISECONDS: Final = 60
MOST_MILLISECONDS: Final = 1_000
# The limit is this many usual waits: with many processes or slow commits, a batch may wait behind several others.
USUAL_WAIT_FACTOR: Final = 4
# The weight of the newest wait in the moving average.
NEWEST_WEIGHT: Final = 0.2
# How many locked accounts are remembered.
REMEMBERED_LIMIT: Final = 10_000


class LockWait:
    """Limits a batch's wait to a multiple of the usual one."""

    def __init__(self) -> None:
        self._usual_seconds = 0.0
        # Whose rows were locked when they were last wanted.
        self._locked: set[Reference] = set()

    @property
    def milliseconds(self) -> int:
        limit = int(self._usual_seconds * USUAL_WAIT_FACTOR * 1000)
        return min(max(limit, LEAST_MILLISECONDS), MOST_MILLISECONDS)

    def note(self, seconds: float, *, got: Collection[Reference], locked: Collection[Reference]) -> None:
        """Add a batch's wait to the average; it got the rows of `got`, and not those of `locked`.

        Only the first of several waits for the same locked rows counts. A row that stays locked is held by another
        program, not by a batch, and must not lengthen the limit.
        """
        still_locked = bool(locked) and self._locked.issuperset(locked)
        if len(self._locked) > REMEMBERED_LIMIT:
            self._locked.clear()
        self._locked.difference_update(got)
        self._locked.update(locked)
        if not still_locked:
            self._usual_seconds += (seconds - self._usual_seconds) * NEWEST_WEIGHT
