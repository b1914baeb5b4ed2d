"""How long a batch waits for the rows of its accounts before it sets apart the orders that want a locked one."""

from typing import Final

# Batches of other processes hold a hot account for some milliseconds each. What holds a row for longer delays only
# the orders that want it, so this is short.
LEAST_MILLISECONDS: Final = 60
MOST_MILLISECONDS: Final = 1_000
# With many processes or slow commits, a batch waits for its turn behind several others.
USUAL_TIMES: Final = 4
# The part of the newest wait in the average.
NEWEST: Final = 0.2


class LockWait:
    """Learns how long batches usually wait."""

    def __init__(self) -> None:
        self._usual_seconds = 0.0

    @property
    def milliseconds(self) -> int:
        limit = int(self._usual_seconds * USUAL_TIMES * 1000)
        return min(max(limit, LEAST_MILLISECONDS), MOST_MILLISECONDS)

    def note(self, seconds: float) -> None:
        """Take a batch's wait, whole or given up, into the average."""
        self._usual_seconds += (seconds - self._usual_seconds) * NEWEST
