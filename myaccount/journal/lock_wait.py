"""How long a batch waits for its accounts' rows before it goes on without the locked ones."""

from typing import Final

# Short, since only orders that want a row that is locked for longer are delayed. But batches of other processes
# lock a hot account for some milliseconds each.
LEAST_MILLISECONDS: Final = 60
MOST_MILLISECONDS: Final = 1_000
# Of the usual wait: with many processes, or slow commits, a batch may wait behind several others.
USUAL_TIMES: Final = 4
# The weight of the newest wait in the moving average.
NEWEST: Final = 0.2


class LockWait:
    """Limits a batch's wait to a multiple of the usual one."""

    def __init__(self) -> None:
        self._usual_seconds = 0.0

    @property
    def milliseconds(self) -> int:
        limit = int(self._usual_seconds * USUAL_TIMES * 1000)
        return min(max(limit, LEAST_MILLISECONDS), MOST_MILLISECONDS)

    def note(self, seconds: float) -> None:
        """Add a batch's wait to the average, whether it got the rows or gave up."""
        self._usual_seconds += (seconds - self._usual_seconds) * NEWEST
