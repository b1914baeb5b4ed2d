"""Messages in both languages: to their reader, or to a team in the third person; amounts have their unit."""

import json
from datetime import datetime

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myaccount.inbox.queries import Message
from myaccount.inbox.recipients import messages_to_users
from myaccount.inbox.wording import LANGUAGES, MESSAGE_TYPES, message_text
from myaccount.ledger.changes import DECLINE, ORDER_NAMES, Change
from myaccount.ledger.refusals import Decline
from myaccount.settings.paths import template_loader

from ..helpers.every_change import NAMES, NOW, every_change

# Of every message: its source and type, and the Chinese and English texts.
TEXTS = {
    ("a1", "account_opened"): ("您的账户 a1 已开通。", "Your account a1 is open."),
    ("a2", "account_opened"): ("您的账户 a2 已开通。", "Your account a2 is open."),
    ("spare", "account_added"): ("您的账户 spare 已开通，币种为 CNY。", "Your account spare in CNY is open."),
    ("yen", "account_added"): ("您的账户 yen 已开通，币种为 JPY。", "Your account yen in JPY is open."),
    ("n1", "account_frozen"): (
        "您的账户 a1 已冻结，只收不付。原因：a check",
        "Your account a1 can receive, but not pay. Reason: a check",
    ),
    ("n2", "account_frozen"): (
        "您的账户 a1 已解冻，可正常收付。原因：all is well",
        "Your account a1 can pay and receive again. Reason: all is well",
    ),
    ("n4", "account_closed"): (
        "您的账户 spare 已销户。原因：the user's wish",
        "Your account spare is closed. Reason: the user's wish",
    ),
    ("n3", "limit_changed"): (
        "您的账户 yen 的透支额度现为 500 JPY。原因：a good customer",
        "The credit limit of your account yen is now 500 JPY. Reason: a good customer",
    ),
    ("r1", "recharge"): (
        "您的账户充值到账 100.00 元，当前余额 100.00 元。",
        "Your account was topped up with 100.00 CNY. The balance is 100.00 CNY.",
    ),
    ("r2", "recharge"): (
        "您的账户充值到账 1500 JPY，当前余额 1500 JPY。",
        "Your account was topped up with 1500 JPY. The balance is 1500 JPY.",
    ),
    ("t1", "transfer_out"): (
        "您的账户向 李四 转账 25.00 元，当前余额 75.00 元。",
        "You paid 25.00 CNY to 李四. The balance is 75.00 CNY.",
    ),
    ("t1", "transfer_in"): (
        "您的账户收到 张三 转账 25.00 元，当前余额 25.00 元。",
        "You received 25.00 CNY from 张三. The balance is 25.00 CNY.",
    ),
    ("w1", "withdraw"): (
        "您的账户提现 5.00 元，当前余额 70.00 元。",
        "You withdrew 5.00 CNY. The balance is 70.00 CNY.",
    ),
    ("f1", "refund_out"): (
        "您的账户向 张三 退款 10.00 元（原订单号 t1），当前余额 15.00 元。",
        "You refunded 10.00 CNY to 张三 (order t1). The balance is 15.00 CNY.",
    ),
    ("f1", "refund_in"): (
        "您的账户收到 李四 退款 10.00 元（原订单号 t1），当前余额 80.00 元。",
        "You received a refund of 10.00 CNY from 李四 (order t1). The balance is 80.00 CNY.",
    ),
    ("f2", "refund_in"): (
        "您的账户收到退款 5.00 元（原订单号 w1），当前余额 85.00 元。",
        "You received a refund of 5.00 CNY (order w1). The balance is 85.00 CNY.",
    ),
    ("f3", "refund_out"): (
        "您的账户退款 1.00 元（原订单号 r1），当前余额 84.00 元。",
        "You refunded 1.00 CNY (order r1). The balance is 84.00 CNY.",
    ),
    ("h1", "hold"): (
        "您的账户预授权 30.00 元（收款方 李四），该金额已冻结，2026-01-03 03:04（UTC）到期。"
        "当前余额 84.00 元，冻结金额 30.00 元。",
        "30.00 CNY of your balance is held for 李四 until 2026-01-03 03:04 UTC."
        " The balance is 84.00 CNY; 30.00 CNY is held.",
    ),
    ("h2", "hold"): (
        "您的账户预授权 4.00 元，该金额已冻结，2026-01-09 03:04（UTC）到期。当前余额 64.00 元，冻结金额 4.00 元。",
        "4.00 CNY of your balance is held until 2026-01-09 03:04 UTC. The balance is 64.00 CNY; 4.00 CNY is held.",
    ),
    ("h3", "hold"): (
        "您的账户预授权 6.00 元（收款方 李四），该金额已冻结，2026-01-02 04:04（UTC）到期。"
        "当前余额 60.00 元，冻结金额 6.00 元。",
        "6.00 CNY of your balance is held for 李四 until 2026-01-02 04:04 UTC."
        " The balance is 60.00 CNY; 6.00 CNY is held.",
    ),
    ("c1", "capture_out"): (
        "您的账户因预授权完成向 李四 支出 20.00 元，当前余额 64.00 元，冻结金额 10.00 元。",
        "You paid 20.00 CNY to 李四 from a hold. The balance is 64.00 CNY; 10.00 CNY is held.",
    ),
    ("c1", "capture_in"): (
        "您的账户收到 张三 预授权完成款 20.00 元，当前余额 35.00 元。",
        "You received 20.00 CNY from a hold of 张三. The balance is 35.00 CNY.",
    ),
    ("c2", "capture_out"): (
        "您的账户因预授权完成支出 4.00 元，当前余额 60.00 元。",
        "You paid 4.00 CNY from a hold. The balance is 60.00 CNY.",
    ),
    ("x1", "hold_extended"): (
        "您的账户预授权 30.00 元（收款方 李四），到期时间改为 2026-01-04 03:04（UTC）。"
        "当前余额 84.00 元，冻结金额 30.00 元。",
        "30.00 CNY of your balance is held for 李四 until 2026-01-04 03:04 UTC."
        " The balance is 84.00 CNY; 30.00 CNY is held.",
    ),
    ("x2", "hold_extended"): (
        "您的账户预授权 6.00 元（收款方 李四），到期时间改为 2026-01-02 03:04（UTC）。"
        "当前余额 60.00 元，冻结金额 6.00 元。",
        "6.00 CNY of your balance is held for 李四 until 2026-01-02 03:04 UTC."
        " The balance is 60.00 CNY; 6.00 CNY is held.",
    ),
    ("h1", "hold_released"): (
        "您的账户的预授权（收款方 李四）已撤销，剩余金额 10.00 元已解冻。当前余额 64.00 元。",
        "10.00 CNY of your balance is no longer held for 李四: the hold was released. The balance is 64.00 CNY.",
    ),
    ("h3", "hold_expired"): (
        "您的账户的预授权已到期，剩余金额 6.00 元已自动解冻。当前余额 60.00 元。",
        "6.00 CNY of your balance is no longer held: the hold has expired. The balance is 60.00 CNY.",
    ),
    ("t2", "decline"): (
        "可用余额不足，资金未变动。您的账户当前余额 60.00 元，冻结金额 6.00 元。",
        "No money moved: the available balance does not cover the amount."
        " Your balance is 60.00 CNY; 6.00 CNY is held.",
    ),
    ("w2", "decline"): (
        "可用余额不足，资金未变动。您的账户当前余额 35.00 元。",
        "No money moved: the available balance does not cover the amount. Your balance is 35.00 CNY.",
    ),
    ("f4", "decline"): (
        "金额超出订单的可退金额，资金未变动。您的账户当前余额 35.00 元。",
        "No money moved: the amount is more than what is left of the order to refund. Your balance is 35.00 CNY.",
    ),
    ("f5", "decline"): (
        "金额超出订单的可退金额，资金未变动。您的账户当前余额 60.00 元。",
        "No money moved: the amount is more than what is left of the order to refund. Your balance is 60.00 CNY.",
    ),
    ("c3", "decline"): (
        "预授权已完成或已撤销，资金未变动。您的账户当前余额 60.00 元，冻结金额 6.00 元。",
        "No money moved: the hold was captured or released already. Your balance is 60.00 CNY; 6.00 CNY is held.",
    ),
}
TITLES = {
    "account_opened": ("欢迎，李四", "Welcome, 李四"),
    "account_added": ("新账户已开通", "New account"),
    "account_closed": ("账户已销户", "Account closed"),
    "limit_changed": ("透支额度已调整", "Credit limit changed"),
    "transfer_out": ("转账支出 25.00 元", "Paid 25.00 CNY"),
    "transfer_in": ("转账收入 25.00 元", "Received 25.00 CNY"),
    "withdraw": ("提现 5.00 元", "Withdrawal of 5.00 CNY"),
    "capture_in": ("预授权到账 20.00 元", "Received 20.00 CNY"),
    "hold_extended": ("预授权延期 6.00 元", "Hold of 6.00 CNY extended"),
    "hold_released": ("预授权撤销 10.00 元", "Hold of 10.00 CNY released"),
    "hold_expired": ("预授权到期 6.00 元", "Hold of 6.00 CNY expired"),
}


def _rows(language: str, team_id: str = "") -> list[tuple[str, str, str, str]]:
    """Return the source, type, title and text of each message about every change."""
    rows = []
    for change in every_change():
        for _, written in messages_to_users(change, NOW, NAMES):
            message = Message(
                1, written.message_type, written.reader_id, written.user_id, written.user_name,
                written.receiver_id, team_id, "店员", "", written.body, NOW, True,
            )  # fmt: skip
            row = json.loads(message_text(message, language))
            rows.append((written.source_id, written.message_type, row["TITLE"], row["BODY"]["text"]))
    return rows


def _message(message_type: str, team_id: str = "", **body: str) -> Message:
    money = {"orderId": "t1", "amount": "2.50", "currency": "CNY", "balance": "7.50", "fromUserName": "张三",
             "toUserName": "李四", **body}  # fmt: skip
    return Message(
        id=1, message_type=message_type, user_id="u1", user_name="张三", team_id=team_id, team_name="店员",
        reader_id="u3", receiver_id="u1", title="", body=json.dumps(money), created_at=datetime(2026, 11, 21, 10),
        unread=True,
    )  # fmt: skip


def _text(message_type: str, team_id: str = "", language: str = "zh", **body: str) -> str:
    return str(json.loads(message_text(_message(message_type, team_id, **body), language))["BODY"]["text"])


def _title(message_type: str, language: str = "zh", **body: str) -> str:
    return str(json.loads(message_text(_message(message_type, **body), language))["TITLE"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_has_a_title_and_a_text(language: str) -> None:
    rows = _rows(language)
    place = LANGUAGES.index(language)
    assert {(source, type_): text for source, type_, _, text in rows} == {
        key: texts[place] for key, texts in TEXTS.items()
    }
    titles = {type_: title for _, type_, title, _ in rows}
    assert {type_: titles[type_] for type_ in TITLES} == {type_: both[place] for type_, both in TITLES.items()}
    assert titles.keys() == set(MESSAGE_TYPES) - {"note"}
    assert all(title and "\n" not in title + text for *_, title, text in rows)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_title_says_what_happened_to_how_much(language: str) -> None:
    for _, type_, title, _ in _rows(language):
        if not type_.startswith(("account", "limit")):
            assert ("元" if language == "zh" else "CNY") in title or "JPY" in title
    frozen = [title for _, type_, title, _ in _rows(language) if type_ == "account_frozen"]
    assert frozen == (["账户已冻结", "账户已解冻"] if language == "zh" else ["Account frozen", "Account unfrozen"])


def test_messages_to_a_team_say_whose_account_it_is() -> None:
    of_accounts = ("account_opened", "account_added", "account_frozen", "account_closed", "limit_changed")
    for _, type_, _, text in _rows("zh", "staff"):
        if type_ not in of_accounts:
            assert "您" not in text
            assert "张三 的账户" in text or "李四 的账户" in text


@pytest.mark.parametrize(
    ("message_type", "to_reader", "to_team"),
    [
        ("recharge", "您的账户充值到账 2.50 元，", "张三 的账户充值到账 2.50 元，"),
        ("transfer_out", "您的账户向 李四 转账 2.50 元，", "张三 的账户向 李四 转账 2.50 元，"),
        ("transfer_in", "您的账户收到 张三 转账 2.50 元，", "李四 的账户收到 张三 转账 2.50 元，"),
    ],
)
def test_a_message_says_whose_account_it_is(message_type: str, to_reader: str, to_team: str) -> None:
    assert _text(message_type) == f"{to_reader}当前余额 7.50 元。"
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
    assert _text(message_type, "", "en") == f"{to_reader}The balance is 7.50 CNY."
    assert _text(message_type, "staff", "en") == f"{to_team}The balance is 7.50 CNY."


def test_an_english_decline_says_whose_balance_it_is() -> None:
    why = "No money moved: the available balance does not cover the amount. "
    assert _text("decline", "", "en", reason="insufficient_funds") == f"{why}Your balance is 7.50 CNY."
    assert _text("decline", "staff", "en", reason="insufficient_funds") == f"{why}张三's balance is 7.50 CNY."


def test_a_decline_says_why_and_that_no_money_moved() -> None:
    insufficient = _text("decline", reason="insufficient_funds")
    assert insufficient == "可用余额不足，资金未变动。您的账户当前余额 7.50 元。"
    too_large = _text("decline", "staff", reason="balance_too_large")
    assert too_large == "入账后余额将超出上限，资金未变动。张三 的账户当前余额 7.50 元。"


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_reason_to_decline_has_a_text(language: str) -> None:
    reasons = [kind.code for kind in Decline.__subclasses__()]
    texts = {_text("decline", language=language, reason=reason) for reason in reasons}
    assert len(texts) == len(reasons) == 9
    assert not any(reason in text for reason in reasons for text in texts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_decline_says_which_kind_of_order_it_was(language: str) -> None:
    names = list(ORDER_NAMES.values())
    titles = [_title("decline", language, reason="account_frozen", orderName=name) for name in names]
    assert len(set(titles)) == len(names)
    assert all(title.startswith(("交易失败：", "Declined: ")) and "2.50" in title for title in titles)
    # Messages of an earlier version do not have it.
    assert _title("decline", language, reason="account_frozen") in ("交易失败：2.50 元", "Declined: 2.50 CNY")


@pytest.mark.parametrize(
    ("frozen", "chinese", "english"),
    [
        ("none", "已解冻，可正常收付", "can pay and receive again"),
        ("debits", "已冻结，只收不付", "can receive, but not pay"),
        ("credits", "已冻结，只付不收", "can pay, but not receive"),
        ("all", "已冻结，不收不付", "can neither pay nor receive"),
    ],
)
def test_a_frozen_account_says_what_it_can_still_do(frozen: str, chinese: str, english: str) -> None:
    assert chinese in _text("account_frozen", accountId="a1", frozen=frozen, reason="x")
    assert english in _text("account_frozen", language="en", accountId="a1", frozen=frozen, reason="x")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_held_amount_of_zero_is_left_out(language: str) -> None:
    held = {
        amount: _text("transfer_out", language=language, held=amount) for amount in ("0", "0.00", "0.01", "10")
    }
    assert held["0"] == held["0.00"] == _text("transfer_out", language=language)
    assert "0.01" in held["0.01"]
    assert "10 " in held["10"]


def test_other_currencies_keep_their_code() -> None:
    assert _text("recharge", currency="USD") == "您的账户充值到账 2.50 USD，当前余额 7.50 USD。"


def test_a_message_about_a_change_of_an_earlier_version_is_complete() -> None:
    change = Change(DECLINE, "d", "u1", "u2", 900, 400, 100, "insufficient_funds", 3, 4)
    complete = change._replace(from_account_id="a1", to_account_id="a2")
    (written,) = messages_to_users(complete, NOW, NAMES)
    assert json.loads(written.message.body) == {
        "orderId": "d", "amount": "9.00", "currency": "CNY", "accountId": "a1", "entry": 3, "balance": "4.00",
        "reason": "insufficient_funds",
    }  # fmt: skip


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
AMOUNT = st.sampled_from(["0.00", "2.50", "-7.00", "1000000.00"])
BODY = {
    "orderId": TEXT, "accountId": TEXT, "amount": AMOUNT, "balance": AMOUNT, "floor": AMOUNT,
    "entry": st.integers(), "currency": st.sampled_from(["CNY", "JPY", "EUR"]),
    "frozen": st.sampled_from(["none", "debits", "all"]), "expiresAt": st.just("2026-11-21T10:00:00.000000Z"),
    "reason": st.sampled_from(["insufficient_funds", "another"]),
}  # fmt: skip
MORE = {
    "held": AMOUNT, "orderName": st.sampled_from(["", "transfer", "hold"]), "originalOrderId": TEXT, "text": TEXT,
    "fromUserName": TEXT, "toUserName": TEXT,
}  # fmt: skip
MESSAGE = st.builds(
    Message, id=st.integers(1, 2**63 - 1), message_type=st.sampled_from([t for t in MESSAGE_TYPES if t != "note"]),
    reader_id=TEXT, user_id=TEXT, user_name=TEXT, receiver_id=TEXT, team_id=TEXT, team_name=TEXT,
    title=st.just("") | TEXT, created_at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
    unread=st.booleans(),
    # JSON may be written in several ways.
    body=st.builds(json.dumps, st.fixed_dictionaries(BODY, optional=MORE), ensure_ascii=st.booleans(),
                   indent=st.none() | st.just(1)),
)  # fmt: skip
# With calls, where the service has the macros written out.
CALLING = jinja2.Environment(loader=template_loader("templates/messages"), autoescape=False)  # noqa: S701 - plain text


@given(MESSAGE, st.sampled_from(LANGUAGES))
def test_a_messages_text_is_the_json_of_its_row(message: Message, language: str) -> None:
    body = json.loads(message.body)
    title = message.title
    if not title:
        write = getattr(CALLING.get_template(f"{language}.txt").module, message.message_type)
        title, _, text = write(message, body).strip().partition("\n")
        body = {**body, "text": text.strip()}
    row = {
        "NID": message.id,
        "KIND": "team" if message.team_id else "account",
        "MESSAGE_TYPE": message.message_type,
        "USER_ID": message.user_id or None,
        "USERNAME": message.user_name or None,
        "TEAM_ID": message.team_id or None,
        "TEAM_NAME": message.team_name or None,
        "READER_ID": message.reader_id,
        "RECEIVER_ID": message.receiver_id or None,
        "TITLE": title,
        "BODY": body,
        "CREATE_TIME": message.created_at.isoformat(timespec="microseconds") + "Z",
        "READ": not message.unread,
    }
    assert message_text(message, language) == json.dumps(row, ensure_ascii=False)
