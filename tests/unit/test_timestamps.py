"""Times that programs read have one form, whatever their microseconds are."""

import json
from datetime import datetime

import pytest

from myaccount.database.times import iso_time
from myaccount.ledger.changes import ACCOUNT_OPENED, Change
from myaccount.webhooks.payloads import request_bodies

WHOLE_SECOND = datetime(2026, 1, 2, 3, 4, 5)


written = pytest.mark.parametrize(
    ("microseconds", "written"), [(0, "2026-01-02T03:04:05.000000Z"), (120_000, "2026-01-02T03:04:05.120000Z")]
)


@written
def test_a_time_has_microseconds_even_in_a_whole_second(microseconds: int, written: str) -> None:
    assert iso_time(WHOLE_SECOND.replace(microsecond=microseconds)) == written


@written
def test_a_callback_has_microseconds_even_in_a_whole_second(microseconds: int, written: str) -> None:
    opening = Change(ACCOUNT_OPENED, "a1", "u1", "u1")
    created_at = WHOLE_SECOND.replace(microsecond=microseconds)
    ((_, body),) = request_bodies([opening], created_at, {"endpoint": {ACCOUNT_OPENED}})
    assert json.loads(body)["timestamp"] == written
