"""Messages speak to their reader, and to a team in the third person; Chinese amounts have their unit."""

import json
from datetime import datetime

import pytest

from myaccount.inbox.queries import Message
from myaccount.inbox.wording import message_row


def _text(message_type: str, team_id: str, language: str = "zh", **body: str) -> str:
    money = {"orderId": "t1", "amount": "2.50", "currency": "CNY", "balance": "7.50", "fromUserName": "张三",
             "toUserName": "李四", **body}  # fmt: skip
    message = Message(
        id=1, message_type=message_type, user_id="u1", user_name="张三", team_id=team_id, team_name="店员",
        reader_id="u3", receiver_id="u1", title="", body=json.dumps(money), created_at=datetime(2026, 11, 21, 10),
        unread=True,
    )  # fmt: skip
    return str(message_row(message, language)["BODY"]["text"])


@pytest.mark.parametrize(
    ("message_type", "to_reader", "to_team"),
    [
        ("recharge", "您的账户充值到账 2.50 元，", "张三 的账户充值到账 2.50 元，"),
        ("transfer_out", "您的账户向 李四 转账 2.50 元，", "张三 的账户向 李四 转账 2.50 元，"),
        ("transfer_in", "您的账户收到 张三 转账 2.50 元，", "李四 的账户收到 张三 转账 2.50 元，"),
    ],
)
def test_a_message_says_whose_account_it_is(message_type: str, to_reader: str, to_team: str) -> None:
    assert _text(message_type, "") == f"{to_reader}当前余额 7.50 元。"
    assert _text(message_type, "staff") == f"{to_team}当前余额 7.50 元。"


@pytest.mark.parametrize(
    ("message_type", "to_reader", "to_team"),
    [
        ("recharge", "Your account was topped up with 2.50 CNY. ", "张三's account was topped up with 2.50 CNY. "),
        ("transfer_out", "You paid 2.50 CNY to 李四. ", "张三 paid 2.50 CNY to 李四. "),
        ("transfer_in", "You received 2.50 CNY from 张三. ", "李四 received 2.50 CNY from 张三. "),
    ],
)
def test_an_english_message_says_whose_account_it_is(message_type: str, to_reader: str, to_team: str) -> None:
    assert _text(message_type, "", "en") == f"{to_reader}The balance is 7.50."
    assert _text(message_type, "staff", "en") == f"{to_team}The balance is 7.50."


def test_an_english_decline_says_whose_balance_it_is() -> None:
    why = "No money moved: the balance does not cover the amount. "
    assert _text("decline", "", "en", reason="insufficient_funds") == f"{why}Your balance is 7.50."
    assert _text("decline", "staff", "en", reason="insufficient_funds") == f"{why}张三's balance is 7.50."


def test_a_decline_says_why_and_that_no_money_moved() -> None:
    insufficient = _text("decline", "", reason="insufficient_funds")
    assert insufficient == "余额不足，资金未变动。您的账户当前余额 7.50 元。"
    too_large = _text("decline", "staff", reason="balance_too_large")
    assert too_large == "入账后余额将超出上限，资金未变动。张三 的账户当前余额 7.50 元。"


def test_other_currencies_keep_their_code() -> None:
    assert _text("recharge", "", currency="USD") == "您的账户充值到账 2.50 USD，当前余额 7.50 USD。"
