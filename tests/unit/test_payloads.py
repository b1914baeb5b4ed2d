"""The bodies of callbacks: each type of change has its fields, and no body is too long."""

import json
import re
import textwrap
from random import Random
from typing import Any

import pytest

from myaccount.ledger.changes import CHANGE_TYPES, TRANSFER, Change
from myaccount.webhooks.payloads import REQUEST_CHANGES_LIMIT, request_bodies

from ..helpers.every_change import CALLBACKS, NOW, every_change
from ..helpers.receivers import source_of
from ..helpers.services import CHECKOUT


def _data(*changes: Change, types: tuple[str, ...] = CHANGE_TYPES) -> list[dict[str, Any]]:
    bodies = [json.loads(body) for _, body in request_bodies(changes, NOW, {"shop": types})]
    return [change for body in bodies for change in body["data"]]


def test_each_change_has_its_fields_under_the_names_of_the_requests() -> None:
    found = {}
    for change in _data(*every_change()):
        key = change.pop("type"), source_of(change)
        found[key] = {name: value for name, value in change.items() if name not in ("orderId", "changeId")}
    assert found == CALLBACKS
    assert {type_ for type_, _ in CALLBACKS} == set(CHANGE_TYPES)


@pytest.mark.parametrize("readme", ["README.rst", "README.zh-CN.rst"])
def test_the_receiver_of_the_readme_orders_changes_that_arrive_in_any_order(
    readme: str,
) -> None:
    text = (CHECKOUT / readme).read_text("utf-8")
    (code,) = re.findall(r"^    def update\(.*?\n(?=\S)", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(textwrap.dedent(code), names)  # noqa: S102
    changes = _data(*every_change())
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
    assert len(changes) == len([type_ for type_, _ in CALLBACKS if type_ == change_type])


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
