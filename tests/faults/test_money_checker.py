"""The checker of the money bank sees each kind of fault, planted in a history and tables that are right."""

from typing import Any

import pytest

from ..helpers.money_example import OUTSIDE, Example
from ..helpers.money_history import SentBulk


@pytest.fixture
def example() -> Example:
    return Example()


def test_nothing_is_wrong(example: Example) -> None:
    assert example.faults() == []


@pytest.mark.parametrize(
    ("table", "key", "column", "value", "fault"),
    [
        ("orders", "transfer", "amount", 301, "transfer has amount 301, and should have 300"),
        ("orders", "transfer", "payee", "A", "transfer has payee A, and should have B"),
        ("orders", "refund", "payer", "A", "refund has payer A, and should have B"),
        ("orders", "withdraw", "status", "declined", "withdraw has status declined, and should have posted"),
        (
            "orders",
            "too-much",
            "reason",
            "account_closed",
            "too-much has reason account_closed, and should have",
        ),
        ("orders", "withdraw", "note", "n", "withdraw has note n, and should have None"),
        ("orders", "done.1", "bulk_id", None, "done.1 has bulk_id None, and should have done"),
        ("orders", "transfer", "refunded", 99, "transfer has 99 refunded, and its refunds are 100"),
        ("entries", "withdraw", "amount", -2, "An entry is missing: ('withdraw', 'A', -1)"),
        ("entries", "withdraw", "amount", -2, "There is an entry too many: ('withdraw', 'A', -2)"),
        ("entries", "withdraw", "number", 9, "A has entries with a gap, or not up to 7"),
        ("entries", "transfer", "balance", 701, "A has 701 after entry 2, not 700"),
        ("accounts", "A", "balance", 730, "A has 730, and should have 729"),
        ("accounts", "A", "balance", 730, "CNY adds up to 1"),
        ("accounts", "A", "held", 149, "A has 149 held, and its holds have 150 left"),
        ("accounts", "A", "held", 999, "A has 729, held 999: below 0"),
        ("accounts", "B", "frozen", "all", "B has frozen all, and should have none"),
        ("changes", "B", "value", "all", "B was set to frozen ['credits', 'none'], logged ['all', 'none']"),
        ("holds", "hold", "captured", 51, "The hold is HoldRow(order_id='hold', payer='A', payee='B', "),
        ("holds", "hold", "remaining", 149, "The hold is HoldRow(order_id='hold', payer='A', payee='B', "),
        ("holds", "short", "status", "held", "The hold is HoldRow(order_id='short', payer='A', "),
        ("holds", "short", "remaining", 1, "The hold is HoldRow(order_id='short', payer='A', "),
        ("holds", "short", "status", "released", "('short', 'hold_released') was told 0 times"),
        ("holds", "short", "order_id", "x", "The hold x has no order that was posted"),
    ],
)
def test_a_wrong_value(example: Example, table: str, key: str, column: str, value: object, fault: str) -> None:
    setattr(example.row(table, key), column, value)
    assert_found(fault, example)


@pytest.mark.parametrize(
    ("table", "key", "fault"),
    [
        ("orders", "withdraw", "withdraw was answered posted, and is there 0 times"),
        ("orders", "declined.1", "The atomic bulk declined is there in part: ['bulk_declined']"),
        ("entries", "withdraw", "An entry is missing: ('withdraw', 'A', -1)"),
        ("holds", "short", "The hold is None, and should be HoldRow(order_id='short'"),
        ("changes", "B", "B was set to frozen ['credits', 'none'], logged ['none']"),
    ],
)
def test_a_missing_row(example: Example, table: str, key: str, fault: str) -> None:
    getattr(example.tables, table).remove(example.row(table, key))
    assert_found(fault, example)


@pytest.mark.parametrize(
    ("table", "key", "fault"),
    [
        ("orders", "withdraw", "withdraw was answered posted, and is there 2 times"),
        ("entries", "withdraw", "There is an entry too many: ('withdraw', 'A', -1)"),
        ("changes", "B", "B was set to frozen ['credits', 'none'], logged ['credits', 'none', 'credits']"),
    ],
)
def test_a_row_too_many(example: Example, table: str, key: str, fault: str) -> None:
    getattr(example.tables, table).append(example.row(table, key))
    assert_found(fault, example)


@pytest.mark.parametrize(
    ("sent", "outcome", "fault"),
    [
        (("withdraw", "x", "A", OUTSIDE, 600), "posted", "x left -21 available to A, below 0"),
        (
            ("withdraw", "x", "A", OUTSIDE, 1),
            "insufficient_funds",
            "x was declined as insufficient_funds, which",
        ),
        (("refund", "x", "B", "A", 201, "transfer"), "posted", "x refunded 201, but only 200 was left"),
        (("refund", "x", "B", "A", 1, "transfer"), "refund_exceeds_order", "x was declined as refund_exceeds"),
        (("capture", "x", "A", "B", 151, "hold"), "posted", "x captured 151, but the hold had only 150 left"),
        (("capture", "x", "A", "B", 1, "hold"), "capture_exceeds_hold", "x was declined as capture_exceeds_h"),
        (
            ("capture", "x", "A", "B", 1, "hold"),
            "hold_expired",
            "x was declined as hold_expired, which was not",
        ),
        (("capture", "x", "A", OUTSIDE, 1, "short"), "posted", "x was posted, but the hold had ended"),
        (
            ("extend", "x", "A", OUTSIDE, 1, "short"),
            "hold_ended",
            "x was declined as hold_ended, which was not",
        ),
        (("transfer", "x", "A", "B", 1), "account_frozen", "x was declined as if an account were frozen"),
        (("transfer", "x", "A", "B", 1), "account_closed", "x was declined as if an account were closed"),
        (("transfer", "x", "A", "C", 1), "posted", "x was posted on a closed account"),
        (("hold", "x", "C", "A", 0), "posted", "x was posted on a closed account"),
    ],
)
def test_a_wrong_outcome(example: Example, sent: tuple[Any, ...], outcome: str, fault: str) -> None:
    example.send(*sent, outcome=outcome)
    assert_found(fault, example)


def test_an_order_on_a_frozen_account(example: Example) -> None:
    example.set("B", "frozen", "debits")
    example.send("transfer", "x", "B", "A", 1)
    assert_found("x was posted on a frozen account", example)


def test_two_outcomes_of_one_order(example: Example) -> None:
    example.sent("withdraw").outcomes.add("insufficient_funds")
    assert_found("withdraw has the outcomes ['insufficient_funds', 'posted']", example)


def test_a_refused_order_that_is_there(example: Example) -> None:
    example.sent("withdraw").outcomes = {"refused"}
    assert_found("withdraw was answered refused, and is there 1 times", example)


def test_orders_and_bulks_that_were_never_sent(example: Example) -> None:
    example.history.sent = [sent for sent in example.history.sent if not isinstance(sent, SentBulk)]
    assert_found("done.0 was never sent", example)
    assert_found("The bulk done was never sent", example)


def test_accounts_that_are_missing_or_too_many(example: Example) -> None:
    example.tables.accounts.append(example.row("accounts", "C"))
    example.history.opened += ["D"]
    example.history.opened.remove("B")
    assert_found("The account C is there 2 times", example)
    assert_found("The account D is there 0 times", example)
    assert_found("The account B was never opened", example)


def test_a_bulk_and_a_message_that_are_missing(example: Example) -> None:
    example.tables.bulk_ids.remove("done")
    example.tables.told.clear()
    assert_found("The bulk done is there 0 times", example)
    assert_found("('short', 'hold_expired') was told 0 times", example)


def test_an_end_that_is_told_twice(example: Example) -> None:
    example.tables.told.append(("short", "hold_expired"))
    assert_found("('short', 'hold_expired') was told 2 times", example)


def assert_found(fault: str, example: Example) -> None:
    """Assert that the checker's sentence about the fault is among those it finds, with this beginning."""
    faults = example.faults()
    assert any(found.startswith(fault) for found in faults), faults
