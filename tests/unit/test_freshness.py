"""How often a connection to MySQL or MariaDB is checked, by an injected clock and without a server."""

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from myaccount.database import freshness as freshness_module
from myaccount.database.freshness import CHECKED_SECONDS, Freshness
from myaccount.database.server_differences import LOCK_TIMEOUT_SECONDS
from myaccount.database.writability import NO_OP_WRITE


class Connection:
    """Records when it was checked."""

    def __init__(self, clock: SimpleNamespace) -> None:
        self._clock = clock
        self.checked_at = clock.monotonic()
        self.checks = 0

    def cursor(self) -> "Connection":
        return self

    def execute(self, statement: str) -> None:
        if statement == NO_OP_WRITE:
            self.checked_at = self._clock.monotonic()
            self.checks += 1

    def fetchall(self) -> list[tuple[str, str]]:
        return [("max_allowed_packet", "1"), ("wait_timeout", "28800"), ("idle_transaction_timeout", "0")]

    def rollback(self) -> None: ...

    def close(self) -> None: ...


def test_no_connection_is_used_later_than_the_interval_after_its_last_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, uses = 1000.0, 0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(freshness_module, "time", clock)
    freshness, connection, record = Freshness(), Connection(clock), cast("Any", SimpleNamespace(info={}))
    freshness._connected(cast("Any", connection), record)
    steps = random.Random(1)
    for _ in range(1000):
        freshness._checked_out(cast("Any", connection), record, None)
        assert now - connection.checked_at <= CHECKED_SECONDS
        uses += 1
        now += steps.choice((0.001, 0.3, CHECKED_SECONDS, 4.0))
        freshness._checked_in(cast("Any", connection), record)
        now += steps.choice((0.0, 0.001, 0.3, CHECKED_SECONDS, CHECKED_SECONDS + 0.001, 60.0))
    # Not each use needs a check.
    assert 0 < connection.checks < uses


def test_a_server_that_is_no_longer_the_writer_is_noticed_within_two_seconds() -> None:
    """The interval, and the longest time that a check waits for a lock."""
    assert CHECKED_SECONDS + LOCK_TIMEOUT_SECONDS <= 2
