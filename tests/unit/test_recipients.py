"""Who gets a message about each change, and what its body says."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import String

from myaccount.inbox.recipients import accounts_told, messages_to_team, messages_to_users
from myaccount.inbox.team_rows import Team
from myaccount.inbox.wording import MESSAGE_TYPES
from myaccount.inbox.writing import NewMessage
from myaccount.ledger.changes import DECLINE, TRANSFER, Change
from myaccount.model.inbox import message

from ..helpers.every_change import MESSAGES, NAMES, NOW, every_change

STAFF = Team("staff", "店员", ["u2", "u3"])


def _messages(**teams: Team) -> list[NewMessage]:
    return [found for change in every_change() for found in _messages_about(change, teams)]


def _messages_about(change: Change, teams: Mapping[str, Team]) -> Iterator[NewMessage]:
    for account_id, written in messages_to_users(change, NOW, NAMES):
        yield written
        if account_id in teams:
            yield from messages_to_team(change, written, teams[account_id])


def _body(message_type: str, source_id: str) -> dict[str, Any]:
    (found,) = [m for m in _messages() if (m.message_type, m.source_id) == (message_type, source_id)]
    body: dict[str, Any] = json.loads(found.body)
    return body


def test_each_change_writes_to_the_users_whose_accounts_it_is_about() -> None:
    found = {(m.message_type, m.source_id): (m.user_id, m.receiver_id, m.reader_id) for m in _messages()}
    assert found == MESSAGES
    assert len(_messages()) == len(found)
    assert {type_ for type_, _ in found} == set(MESSAGE_TYPES) - {"note"}


def test_no_message_needs_another_account_than_those_told() -> None:
    for change in every_change():
        told = accounts_told(change)
        users = {change.from_account_id: change.payer, change.to_account_id: change.payee}
        names = {users[account_id]: NAMES.get(users[account_id], "") for account_id in told}
        messages = list(messages_to_users(change, NOW, NAMES))
        assert list(messages_to_users(change, NOW, names)) == messages
        assert {account_id for account_id, *_ in messages} <= set(told)


def test_a_declined_transfer_is_told_to_its_payer_alone() -> None:
    declined = Change(DECLINE, "t1", "u1", "u2", 1, from_account_id="a1", to_account_id="a2")
    assert accounts_told(declined) == ("a1",)


def test_types_of_messages_fit_their_column() -> None:
    column = message.c.message_type.type
    assert isinstance(column, String)
    assert all(len(type_) <= (column.length or 0) for type_ in MESSAGE_TYPES)


def test_a_body_says_what_became_of_its_readers_account() -> None:
    assert _body("transfer_in", "t1") == {
        "orderId": "t1", "amount": "25.00", "currency": "CNY", "fromUserName": "张三", "toUserName": "李四",
        "accountId": "a2", "entry": 1, "balance": "25.00", "note": "lunch", "reference": "INV-1",
    }  # fmt: skip
    assert _body("recharge", "r2") == {
        "orderId": "r2", "amount": "1500", "currency": "JPY", "accountId": "yen", "entry": 1, "balance": "1500",
    }  # fmt: skip
    assert _body("refund_in", "f2") == {
        "orderId": "f2", "amount": "5.00", "currency": "CNY", "toUserName": "张三", "accountId": "a1", "entry": 5,
        "balance": "85.00", "originalOrderId": "w1",
    }  # fmt: skip
    assert _body("decline", "c3") == {
        "orderId": "c3", "amount": "30.00", "currency": "CNY", "accountId": "a1", "entry": 8, "balance": "60.00",
        "held": "6.00", "holdOrderId": "h1", "orderName": "capture", "reason": "hold_ended",
    }  # fmt: skip
    assert _body("limit_changed", "n3") == {
        "accountId": "yen", "currency": "JPY", "entry": 1, "balance": "1500", "floor": "-500",
        "reason": "a good customer",
    }  # fmt: skip


def test_how_much_is_held_is_told_to_the_payer_alone() -> None:
    assert _body("capture_out", "c1")["held"] == "10.00"
    assert "held" not in _body("capture_in", "c1")


def test_a_team_watches_the_money_of_one_account() -> None:
    own = _messages()
    watched = [m for m in _messages(a1=STAFF) if m.team_id]
    # Not the money of the same user's account in yen.
    expected = [m for m in own if json.loads(m.body)["accountId"] == "a1" and "orderId" in json.loads(m.body)]
    assert [(m.message_type, m.source_id, m.body) for m in watched[::2]] == [
        (m.message_type, m.source_id, m.body) for m in expected
    ]
    assert {m.message_type for m in watched} >= {"withdraw", "refund_in", "hold", "capture_out", "hold_expired"}
    assert {m.message_type for m in watched}.isdisjoint({"account_opened", "account_frozen", "capture_in"})
    assert [m.reader_id for m in watched] == STAFF.members * len(expected)
    assert {(m.team_id, m.team_name) for m in watched} == {("staff", "店员")}


def test_a_transfer_between_two_accounts_of_one_user_writes_both_messages() -> None:
    change = Change(TRANSFER, "t1", "u1", "u1", 5, 1, 2, from_account_id="a1", to_account_id="a9")
    found = list(_messages_about(change, {"a9": STAFF}))
    assert [(m.message_type, m.reader_id, m.team_id) for m in found] == [
        ("transfer_out", "u1", ""), ("transfer_in", "u1", ""),
        ("transfer_in", "u2", "staff"), ("transfer_in", "u3", "staff"),
    ]  # fmt: skip
