"""For any history of the 2018 demo, the converted books balance and end in the demo's balances."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myaccount.migrations.legacy_2018.conversion import (
    OUTSIDE,
    DemoAccount,
    DemoOrder,
    Order,
    convert,
    is_usable_id,
)

USERS = ["u1", "u2", "u3"]
NOBODY = ["", "nobody"]
# u3 has two accounts, and the demo credited both.
HOLDERS = {2: "u1", 3: "u2", 4: "u3", 5: "u3"}

parties = st.sampled_from(USERS + NOBODY)
amounts = st.integers(-(10**12), 10**12) | st.sampled_from([0, 100, -100])
requests = st.lists(st.tuples(st.sampled_from(["01", "02", "03"]), parties, parties, amounts), max_size=30)
# Changes that people made by hand in the tables.
strays = st.dictionaries(st.sampled_from(sorted(HOLDERS)), amounts)

Request = tuple[str, str, str, int]


def _demo(history: list[Request], strays: dict[int, int]) -> dict[int, int]:
    """Return the balances that the demo's three statements leave, each crediting all accounts of a user."""
    balances = {key: strays.get(key, 0) for key in HOLDERS}
    for order_type, payer, payee, amount in history:
        for key, holder in HOLDERS.items():
            if order_type != "01" and holder == payer:
                balances[key] -= amount
            if holder == payee:
                balances[key] += amount
    return balances


def _orders(history: list[Request]) -> Iterator[DemoOrder]:
    first = {holder: key for key, holder in reversed(HOLDERS.items())}
    for n, (order_type, payer, payee, amount) in enumerate(history):
        yield DemoOrder(f"o{n}", order_type, amount, payer, payee, first.get(payer), first.get(payee))


def _convert(history: list[Request], balances: dict[int, int]) -> tuple[list[Order], list[str]]:
    accounts = {key: DemoAccount(f"a{key}", balance) for key, balance in balances.items()}
    converted = list(convert(accounts, lambda: _orders(history), "opening "))
    return [row for row in converted if isinstance(row, Order)], [row for row in converted if isinstance(row, str)]


@given(requests, strays)
def test_the_converted_books_balance_for_any_history(history: list[Request], strays: dict[int, int]) -> None:
    expected = _demo(history, strays)
    rows, _ = _convert(history, expected)
    balances = dict.fromkeys([OUTSIDE, *HOLDERS], 0)
    for row in rows:
        assert row.amount > 0
        assert row.status == "posted"
        balances[row.from_account] -= row.amount
        balances[row.to_account] += row.amount
        assert (row.from_balance, row.to_balance) == (balances[row.from_account], balances[row.to_account])
    assert balances.pop(OUTSIDE) == -sum(expected.values())
    assert balances == expected


@given(requests, strays)
def test_an_account_has_at_most_one_opening_entry_and_all_of_these_come_first(
    history: list[Request], strays: dict[int, int]
) -> None:
    rows, remarks = _convert(history, _demo(history, strays))
    openings = [row for row in rows if row.order_type == "00"]
    assert rows[: len(openings)] == openings
    assert len({row.order_id for row in rows}) == len(rows)
    assert len({max(row.from_account, row.to_account) for row in openings}) == len(openings)
    assert [remark.rpartition("order ")[2] for remark in remarks if "opening entry" in remark] == [
        row.order_id for row in openings
    ]


@given(requests)
def test_without_manual_changes_and_second_accounts_there_is_no_opening_entry(history: list[Request]) -> None:
    alone = [request for request in history if "u3" not in request]
    rows, remarks = _convert(alone, _demo(alone, {}))
    assert not [row for row in rows if row.order_type == "00"]
    # Only deviations are reported.
    odd = [
        order_type == "03" or amount <= 0 or payee in NOBODY or (order_type != "01" and payer in NOBODY)
        for order_type, payer, payee, amount in alone
    ]
    assert len(remarks) == sum(odd)
    assert len(rows) >= len(alone) - len(remarks)


@pytest.mark.parametrize(
    ("request_", "row", "remark"),
    [
        (("01", "", "u1", 500), (OUTSIDE, 2, 500), None),
        (("01", "", "u1", -500), (2, OUTSIDE, 500), "its amount is -5.00: entered the other way round"),
        (("01", "", "nobody", 500), None, "'nobody' has no account, so that its 5.00 moved nothing: not entered"),
        (("01", "", "u1", 0), None, "its amount is 0, so that it moved nothing: not entered"),
        (("02", "u1", "u2", 500), (2, 3, 500), None),
        (("02", "u1", "u2", -500), (3, 2, 500), "its amount is -5.00: entered the other way round"),
        (("02", "u1", "u1", 500), (2, 2, 500), None),
        (
            ("02", "u1", "nobody", 500),
            (2, OUTSIDE, 500),
            "the payee 'nobody' has no account: entered between 'u1' and the outside",
        ),
        (
            ("02", "nobody", "u1", -500),
            (2, OUTSIDE, 500),
            "its amount is -5.00: entered the other way round; "
            "the payer 'nobody' has no account: entered between 'u1' and the outside",
        ),
        (
            ("02", "", "nobody", 500),
            None,
            "'' and 'nobody' have no account, so that its 5.00 moved nothing: not entered",
        ),
        (("03", "u1", "u2", 500), (2, 3, 500), "its type is '03': entered as a transfer"),
    ],
)
def test_each_kind_of_order_becomes_a_row_or_a_remark(
    request_: Request, row: tuple[int, int, int] | None, remark: str | None
) -> None:
    rows, remarks = _convert([request_], _demo([request_], {}))
    assert [row[2:5] for row in rows] == ([row] if row else [])
    assert remarks == ([f"order 'o0': {remark}"] if remark else [])


def test_ids_that_clients_cannot_use_are_recognised() -> None:
    assert all(is_usable_id(id_) for id_ in ("u1", "张三", "a-b"))
    assert not any(is_usable_id(id_) for id_ in ("", " ", "a b", "a\x00", "a\u3000b"))
