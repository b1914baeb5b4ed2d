"""Runs a transaction again after an error that may pass: a deadlock, a lost connection, a clash of two inserts."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ..errors import Overloaded, Unavailable
from ..observability.metrics import RETRIES, count_transaction
from ..system.cancellation import raise_if_cancelled
from .error_kinds import ErrorKind, RowLocked, TooLarge, kind_of
from .error_texts import reason_of
from .freshness import Freshness

_logger = logging.getLogger(__name__)

Connection = TypeVar("Connection")
Result = TypeVar("Result")
# As the metrics call them.
Kind = Literal["read", "write", "batch"]

ATTEMPTS: Final = 6
FIRST_PAUSE_SECONDS: Final = 0.02
# Each attempt waits for the lock, and meanwhile keeps a connection that others need.
LOCKED_ATTEMPTS: Final = 2
# For all attempts and all waits. Without contention, none of our transactions takes a fiftieth of this.
TRANSACTION_TIMEOUT_SECONDS: Final = 5


class Retries:
    """`driver` is the DB-API module, whose errors are those of work that bypasses SQLAlchemy.

    `place` names the database in errors. After a read-only error, `freshness` replaces all connections.
    """

    def __init__(self, driver: Any, place: str, freshness: Freshness) -> None:
        self._driver = driver
        self._place = place
        self._freshness = freshness

    async def run(
        self,
        kind: Kind,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        work: Callable[[Connection], Awaitable[Result]],
    ) -> Result:
        """Return what `work` returns of a connection; each attempt gets one from `connect`.

        Raises Unavailable after the last attempt or the timeout, RowLocked, TooLarge, and Overloaded if no
        connection became free. Errors of the statement itself, and other errors of `work`, are raised as they are.
        """
        reason = f"it did not answer within {TRANSACTION_TIMEOUT_SECONDS} seconds"
        try:
            async with asyncio.timeout(TRANSACTION_TIMEOUT_SECONDS):
                for attempt in range(1, ATTEMPTS + 1):
                    try:
                        async with connect() as connection:
                            result = await work(connection)
                        count_transaction(kind, "done")
                        return result
                    except (DBAPIError, self._driver.Error, OSError) as error:
                        raise_if_cancelled()
                        self._raise_if_final(kind, attempt, error)
                        reason = reason_of(error)
                        self._log(error, attempt)
                    # The jitter need not be unpredictable.
                    await asyncio.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311
        except PoolTimeoutError:
            count_transaction(kind, "overloaded")
            raise Overloaded("All connections to the database are busy. Send the same request again.") from None
        except TimeoutError:
            # The reason is the last attempt's error, if one has failed.
            pass
        count_transaction(kind, "unavailable")
        raise Unavailable(
            "The database cannot be reached. Send the same request again in a moment.",
            cause=f"the database {self._place}: {reason}",
        )

    def _raise_if_final(self, kind: Kind, attempt: int, error: Exception) -> None:
        """Raise an error that another attempt would only meet again."""
        match kind_of(error):
            case ErrorKind.OURS:
                raise error
            case ErrorKind.DUPLICATE if attempt == ATTEMPTS:
                # Two inserts may clash by accident, but not every time.
                self._log(error, attempt)
                raise error
            case ErrorKind.TOO_LARGE:
                raise TooLarge(str(getattr(error, "orig", None) or error)) from error
            case ErrorKind.LOCKED if kind == "batch" or attempt >= LOCKED_ATTEMPTS:
                count_transaction(kind, "unavailable")
                raise RowLocked(
                    "Another transaction holds a row that this needs. Send the same request again in a moment.",
                    cause=f"the database {self._place}: {reason_of(error)}",
                ) from error
            case ErrorKind.READ_ONLY:
                # The address may lead to another server by now.
                self._freshness.replace_all()

    def _log(self, error: Exception, attempt: int) -> None:
        RETRIES.inc()
        # Only information: if the last attempt fails too, the refused requests are logged as errors.
        _logger.info("Transaction failed, attempt %s of %s: %s", attempt, ATTEMPTS, reason_of(error))
