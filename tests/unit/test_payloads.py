"""The bodies of callbacks: each type of change has its fields, and no body is too long."""

import json
import re
import textwrap
from random import Random
from typing import Any

import pytest

from myaccount.ledger.changes import CHANGE_TYPES, TRANSFER, Change
from myaccount.webhooks.payloads import REQUEST_CHANGES_LIMIT, request_bodies

from ..helpers.every_change import NOW, every_change
from ..helpers.services import CHECKOUT

CNY = {"currency": "CNY"}
JPY = {"currency": "JPY"}
FROM_U1: dict[str, Any] = {"fromuserId": "u1", "fromaccountId": "a1"}
TO_U1: dict[str, Any] = {"touserId": "u1", "toaccountId": "a1"}
FROM_U2: dict[str, Any] = {"fromuserId": "u2", "fromaccountId": "a2"}
TO_U2: dict[str, Any] = {"touserId": "u2", "toaccountId": "a2"}
U1: dict[str, Any] = {"userId": "u1", "accountId": "a1"}

# By the change's type and the order or, for an account, the change.
EXPECTED: dict[tuple[str, str], dict[str, Any]] = {
    ("account_opened", "a1"): U1 | CNY | {"entry": 0},
    ("account_added", "yen"): {"userId": "u1", "accountId": "yen", "entry": 0} | JPY,
    ("account_frozen", "n1"): U1 | CNY | {"entry": 8, "balance": "60.00", "frozen": "debits", "reason": "a check"},
    ("account_frozen", "n2"): U1 | CNY | {
        "entry": 8, "balance": "60.00", "frozen": "none", "reason": "all is well",
    },
    ("limit_changed", "n3"): {
        "userId": "u1", "accountId": "yen", "entry": 1, "balance": "1500", "floor": "-500",
        "reason": "a good customer",
    } | JPY,
    ("account_closed", "n4"): CNY | {
        "userId": "u2", "accountId": "a2", "entry": 0, "balance": "0.00", "status": "closed",
        "reason": "the user's wish",
    },
    ("recharge", "r1"): U1 | CNY | {"amount": "100.00", "entry": 1, "balance": "100.00"},
    ("recharge", "r2"): JPY | {
        "userId": "u1", "accountId": "yen", "amount": "1500", "entry": 1, "balance": "1500",
    },
    ("transfer", "t1"): FROM_U1 | TO_U2 | CNY | {
        "amount": "25.00", "fromEntry": 2, "toEntry": 1, "fromBalance": "75.00", "toBalance": "25.00",
        "note": "lunch", "reference": "INV-1",
    },
    ("withdraw", "w1"): U1 | CNY | {"amount": "5.00", "entry": 3, "balance": "70.00"},
    ("refund", "f1"): FROM_U2 | TO_U1 | CNY | {
        "originalOrderId": "t1", "amount": "10.00", "fromEntry": 2, "toEntry": 4, "fromBalance": "15.00",
        "toBalance": "80.00",
    },
    # A refund of a withdrawal and one of a recharge: the outside world has no account of a user.
    ("refund", "f2"): TO_U1 | CNY | {
        "originalOrderId": "w1", "amount": "5.00", "toEntry": 5, "toBalance": "85.00",
    },
    ("refund", "f3"): FROM_U1 | CNY | {
        "originalOrderId": "r1", "amount": "1.00", "fromEntry": 6, "fromBalance": "84.00",
    },
    ("hold", "h1"): FROM_U1 | TO_U2 | CNY | {
        "amount": "30.00", "held": "30.00", "expiresAt": "2026-01-03T03:04:05.000000Z", "fromEntry": 6,
        "toEntry": 2, "fromBalance": "84.00", "toBalance": "15.00",
    },
    ("hold_extended", "x1"): FROM_U1 | TO_U2 | CNY | {
        "holdOrderId": "h1", "amount": "30.00", "held": "30.00", "expiresAt": "2026-01-04T03:04:05.000000Z",
        "fromEntry": 6, "toEntry": 2, "fromBalance": "84.00", "toBalance": "15.00",
    },
    ("capture", "c1"): FROM_U1 | TO_U2 | CNY | {
        "holdOrderId": "h1", "amount": "20.00", "held": "10.00", "fromEntry": 7, "toEntry": 3,
        "fromBalance": "64.00", "toBalance": "35.00",
    },
    ("hold_released", "h1"): FROM_U1 | TO_U2 | CNY | {
        "endedByOrderId": "l1", "amount": "10.00", "held": "0.00", "fromEntry": 7, "toEntry": 3,
        "fromBalance": "64.00", "toBalance": "35.00",
    },
    ("hold", "h2"): FROM_U1 | CNY | {
        "amount": "4.00", "held": "4.00", "expiresAt": "2026-01-09T03:04:05.000000Z", "fromEntry": 7,
        "fromBalance": "64.00",
    },
    ("capture", "c2"): FROM_U1 | CNY | {
        "holdOrderId": "h2", "amount": "4.00", "held": "0.00", "fromEntry": 8, "fromBalance": "60.00",
    },
    ("hold_captured", "h2"): FROM_U1 | CNY | {
        "endedByOrderId": "c2", "amount": "4.00", "held": "0.00", "fromEntry": 8, "fromBalance": "60.00",
    },
    ("hold", "h3"): FROM_U1 | TO_U2 | CNY | {
        "amount": "6.00", "held": "6.00", "expiresAt": "2026-01-02T04:04:05.000000Z", "fromEntry": 8,
        "toEntry": 3, "fromBalance": "60.00", "toBalance": "35.00",
    },
    ("hold_expired", "h3"): FROM_U1 | TO_U2 | CNY | {
        "amount": "6.00", "held": "0.00", "fromEntry": 8, "toEntry": 3, "fromBalance": "60.00",
        "toBalance": "35.00",
    },
    ("decline", "t2"): FROM_U1 | TO_U2 | CNY | {
        "orderName": "transfer", "reason": "insufficient_funds", "amount": "99.00", "held": "6.00",
        "fromEntry": 8, "toEntry": 3, "fromBalance": "60.00", "toBalance": "35.00",
    },
    ("decline", "w2"): CNY | {
        "orderName": "withdraw", "reason": "insufficient_funds", "userId": "u2", "accountId": "a2",
        "amount": "99.00", "entry": 3, "balance": "35.00",
    },
    ("decline", "f4"): FROM_U2 | TO_U1 | CNY | {
        "orderName": "refund", "reason": "refund_exceeds_order", "originalOrderId": "t1", "amount": "99.00",
        "fromEntry": 3, "toEntry": 8, "fromBalance": "35.00", "toBalance": "60.00",
    },
    ("decline", "f5"): TO_U1 | CNY | {
        "orderName": "refund", "reason": "refund_exceeds_order", "originalOrderId": "w1", "amount": "1.00",
        "toEntry": 8, "toBalance": "60.00",
    },
    ("decline", "c3"): FROM_U1 | TO_U2 | CNY | {
        "orderName": "capture", "reason": "hold_ended", "holdOrderId": "h1", "amount": "30.00", "held": "6.00",
        "fromEntry": 8, "toEntry": 3, "fromBalance": "60.00", "toBalance": "35.00",
    },
}  # fmt: skip


def _data(*changes: Change, types: tuple[str, ...] = CHANGE_TYPES) -> list[dict[str, Any]]:
    bodies = [json.loads(body) for _, body in request_bodies(changes, NOW, {"shop": types})]
    return [change for body in bodies for change in body["data"]]


def test_each_change_has_its_fields_under_the_names_of_the_requests() -> None:
    found = {}
    for change in _data(*every_change()):
        type_ = change.pop("type")
        id_ = change.pop("orderId", None) or change.pop("changeId", None) or change["accountId"]
        found[type_, id_] = change
    assert found == EXPECTED
    assert {type_ for type_, _ in EXPECTED} == set(CHANGE_TYPES)


@pytest.mark.parametrize("readme", ["README.rst", "README.zh-CN.rst"])
def test_the_receiver_of_the_readme_orders_changes_that_arrive_in_any_order(
    readme: str,
) -> None:
    text = (CHECKOUT / readme).read_text("utf-8")
    (code,) = re.findall(r"^    def update\(.*?\n(?=\S)", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(textwrap.dedent(code), names)  # noqa: S102
    # The last of these accounts is as it was before the orders: another batch closed it.
    changes = [change for change in _data(*every_change()) if change["type"] != "account_closed"]
    randomness = Random(1)
    for _ in range(20):
        balances: dict[str, tuple[int, str]] = {}
        for change in randomness.choices(changes, k=20) + randomness.sample(changes, len(changes)):
            names["update"](balances, change)
        assert balances == {"a1": (8, "60.00"), "a2": (3, "35.00"), "yen": (1, "1500")}


@pytest.mark.parametrize("change_type", CHANGE_TYPES)
def test_an_endpoint_gets_the_types_that_it_subscribes_to(change_type: str) -> None:
    changes = _data(*every_change(), types=(change_type,))
    assert {change["type"] for change in changes} == {change_type}
    assert len(changes) == len([type_ for type_, _ in EXPECTED if type_ == change_type])


@pytest.mark.parametrize("fields", [8, 10])
def test_a_change_of_an_earlier_version_has_the_fields_that_it_had(fields: int) -> None:
    recharge = ["recharge", "r", "", "u1", 100, -100, 100, None, 3, 4][:fields]
    transfer = ["transfer", "t", "u1", "u2", 100, 400, 100, None, 3, 4][:fields]
    decline = ["decline", "d", "u1", "u2", 900, 400, 100, "insufficient_funds", 3, 4][:fields]
    opening = ["account_opened", "a1", "u1", "u1", 0, 0, 0, None, 0, 0][:fields]
    money = {"currency": "CNY", "amount": "1.00"}
    sides = {"fromuserId": "u1", "touserId": "u2", "fromBalance": "4.00", "toBalance": "1.00"}
    entry = {"entry": 4} if fields == 10 else {}
    entries = {"fromEntry": 3, "toEntry": 4} if fields == 10 else {}
    assert _data(*[Change(*row) for row in (recharge, transfer, decline, opening)]) == [  # type: ignore[arg-type]
        {"type": "recharge", "orderId": "r", "userId": "u1", "balance": "1.00"} | money | entry,
        {"type": "transfer", "orderId": "t"} | money | sides | entries,
        {"type": "decline", "orderId": "d", "reason": "insufficient_funds"}
        | money
        | {"amount": "9.00"}
        | sides
        | entries,
        {"type": "account_opened", "userId": "u1", "accountId": "a1", "entry": 0, "currency": "CNY"},
    ]


def test_a_body_has_at_most_64_changes_in_order() -> None:
    changes = [Change(TRANSFER, f"t{n}", "u1", "u2") for n in range(2 * REQUEST_CHANGES_LIMIT + 1)]
    bodies = [json.loads(body)["data"] for _, body in request_bodies(changes, NOW, {"shop": CHANGE_TYPES})]
    assert [len(body) for body in bodies] == [64, 64, 1]
    assert [change["orderId"] for body in bodies for change in body] == [change.source_id for change in changes]


@pytest.mark.parametrize("character", ["\U0001f4b0", '"', "\\", "'", "x"])
def test_a_body_fits_into_the_smallest_packet_however_long_its_fields_are(character: str) -> None:
    id_, note, reference = (character * length for length in (45, 200, 64))
    longest = Change(
        "decline", id_, id_, id_, 2**62, -(2**62), 2**62, "refund_exceeds_order", 2**62, 2**62, "CNY", id_, id_,
        "refund", id_, note, reference, 2**62,
    )  # fmt: skip
    bodies = [body for _, body in request_bodies([longest] * 200, NOW, {"shop": ["decline"]})]
    assert sum(len(json.loads(body)["data"]) for body in bodies) == 200
    for body in bodies:
        escaped = body.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")
        assert len(escaped.encode()) < 2**16 - 1000
