"""A clock that never goes back, so that what has expired stays so."""

import time
from datetime import datetime, timedelta

from ..database.times import utc_now


class Clock:
    """The time in UTC. It never goes back behind `seen_at`, nor behind what it told before."""

    def __init__(self, seen_at: datetime) -> None:
        self._begin = max(seen_at, utc_now())
        self._began = time.monotonic()

    def now(self) -> datetime:
        # In this order: else each call would add the time between the two.
        system, moment = utc_now(), time.monotonic()
        # If the system's clock is set back, time passes all the same.
        passed = self._begin + timedelta(seconds=moment - self._began)
        if system <= passed:
            return passed
        self._begin, self._began = system, moment
        return system
