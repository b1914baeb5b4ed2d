"""The time by which keys, tokens and sessions end. It never goes back, so that what has ended stays so."""

import time
from datetime import datetime, timedelta


class Clock:
    """Goes on from the highest time that it was told. The clock of this machine does not matter."""

    def __init__(self, told: datetime) -> None:
        self._begin = told
        self._began = time.monotonic()

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=time.monotonic() - self._began)

    def tell(self, told: datetime) -> None:
        """Go on from this time, unless it is over."""
        if told > self.now():
            self._begin, self._began = told, time.monotonic()
