"""Changes of every type, made by the rules alone or asked for over HTTP, and what callbacks and messages say."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from myaccount.ledger.account_commands import AddAccount, Close, Freeze, Limit, OpenAccount, Opening
from myaccount.ledger.changes import Change, opening
from myaccount.ledger.commands import MoneyCommand
from myaccount.ledger.decide import decide
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Capture, Extend, Hold, Recharge, Refund, Release, Transfer, Withdraw
from myaccount.ledger.records import Account
from myaccount.ledger.references import AccountId, OutsideOf, Reference
from myaccount.ledger.state import Known

from ..conftest import Client
from .actions import send

NOW = datetime(2026, 1, 2, 3, 4, 5)
NAMES = {"u1": "张三", "u2": "李四"}

_OPENINGS: Sequence[Opening] = (
    OpenAccount("u1", "张三", "F", "6222", "a1", "01", sent_at=NOW),
    OpenAccount("u2", "李四", "F", "6222", "a2", "01", sent_at=NOW),
    AddAccount("u1", "yen", "01", currency="JPY", sent_at=NOW),
    AddAccount("u2", "spare", "01", sent_at=NOW),
)
_ACCOUNTS = {
    1: Account(1, floor=None, account_id="outside CNY"),
    2: Account(2, account_id="a1", user_id="u1"),
    3: Account(3, account_id="a2", user_id="u2"),
    4: Account(4, account_id="yen", user_id="u1", currency="JPY"),
    5: Account(5, floor=None, account_id="outside JPY", currency="JPY"),
    6: Account(6, account_id="spare", user_id="u2"),
}
_KEYS: dict[Reference, int] = {
    "u1": 2,
    "u2": 3,
    OutsideOf("CNY"): 1,
    OutsideOf("JPY"): 5,
    **{AccountId(account.account_id): key for key, account in _ACCOUNTS.items()},
}
_COMMANDS: Sequence[MoneyCommand] = (
    Recharge("r1", "u1", Amount(100)),
    Recharge("r2", AccountId("yen"), Amount(1500)),
    Transfer("t1", "u1", "u2", Amount(250, 1), note="lunch", reference="INV-1"),
    Withdraw("w1", "u1", Amount(5)),
    Refund("f1", "t1", Amount(10)),
    # The payout came back, and some of a recharge is given back.
    Refund("f2", "w1"),
    Refund("f3", "r1", Amount(1)),
    Hold("h1", "u1", "u2", Amount(30), timedelta(days=1)),
    Extend("x1", "h1", timedelta(days=2)),
    Capture("c1", "h1", Amount(20)),
    Release("l1", "h1"),
    # Without a payee.
    Hold("h2", "u1", None, Amount(4)),
    Capture("c2", "h2"),
    Hold("h3", "u1", "u2", Amount(6), timedelta(hours=1)),
    Transfer("t2", "u1", "u2", Amount(99)),
    Withdraw("w2", "u2", Amount(99)),
    Refund("f4", "t1", Amount(99)),
    Refund("f5", "w1", Amount(1)),
    Capture("c3", "h1"),
    Freeze("n1", AccountId("a1"), "debits", "a check"),
    Freeze("n2", AccountId("a1"), "none", "all is well"),
    Limit("n3", AccountId("yen"), Amount(500), "a good customer"),
    Close("n4", AccountId("spare"), "the user's wish"),
    # Soon to expire.
    Extend("x2", "h3", timedelta(seconds=1)),
)

# The same as requests.
_PERSON = {"sex": "F", "cardNum": "6222", "accountType": "01"}
_REQUESTS: Sequence[tuple[str, dict[str, str]]] = (
    ("/openacc", _PERSON | {"userId": "u1", "userName": "张三", "accountId": "a1"}),
    ("/openacc", _PERSON | {"userId": "u2", "userName": "李四", "accountId": "a2"}),
    ("/addaccount", {"userId": "u1", "accountId": "yen", "accountType": "01", "currency": "JPY"}),
    ("/addaccount", {"userId": "u2", "accountId": "spare", "accountType": "01"}),
    ("/recharge", {"orderId": "r1", "userId": "u1", "amount": "100"}),
    ("/recharge", {"orderId": "r2", "accountId": "yen", "amount": "1500"}),
    ("/transfer", {"orderId": "t1", "fromuserId": "u1", "touserId": "u2", "amount": "25", "note": "lunch",
                   "reference": "INV-1"}),
    ("/withdraw", {"orderId": "w1", "userId": "u1", "amount": "5"}),
    ("/refund", {"orderId": "f1", "originalOrderId": "t1", "amount": "10"}),
    ("/refund", {"orderId": "f2", "originalOrderId": "w1"}),
    ("/refund", {"orderId": "f3", "originalOrderId": "r1", "amount": "1"}),
    ("/hold", {"orderId": "h1", "fromuserId": "u1", "touserId": "u2", "amount": "30", "expiresIn": "86400"}),
    ("/extend", {"orderId": "x1", "holdOrderId": "h1", "expiresIn": "172800"}),
    ("/capture", {"orderId": "c1", "holdOrderId": "h1", "amount": "20"}),
    ("/release", {"orderId": "l1", "holdOrderId": "h1"}),
    ("/hold", {"orderId": "h2", "fromuserId": "u1", "amount": "4"}),
    ("/capture", {"orderId": "c2", "holdOrderId": "h2"}),
    ("/hold", {"orderId": "h3", "fromuserId": "u1", "touserId": "u2", "amount": "6", "expiresIn": "3600"}),
    ("/transfer", {"orderId": "t2", "fromuserId": "u1", "touserId": "u2", "amount": "99"}),
    ("/withdraw", {"orderId": "w2", "userId": "u2", "amount": "99"}),
    ("/refund", {"orderId": "f4", "originalOrderId": "t1", "amount": "99"}),
    ("/refund", {"orderId": "f5", "originalOrderId": "w1", "amount": "1"}),
    ("/capture", {"orderId": "c3", "holdOrderId": "h1"}),
    ("/freeze", {"accountId": "a1", "frozen": "debits", "reason": "a check"}),
    ("/freeze", {"accountId": "a1", "frozen": "none", "reason": "all is well"}),
    ("/limit", {"accountId": "yen", "floor": "-500", "reason": "a good customer"}),
    ("/close", {"accountId": "spare", "reason": "the user's wish"}),
    ("/extend", {"orderId": "x2", "holdOrderId": "h3", "expiresIn": "1"}),
)  # fmt: skip
_DECLINED = ("t2", "w2", "f4", "f5", "c3")


def every_change() -> list[Change]:
    """Return changes of every type, and of each kind of order and of refund."""
    _, state = decide(_COMMANDS, Known(keys=_KEYS, accounts=_ACCOUNTS, now=NOW))
    later = Known(
        keys=_KEYS,
        accounts={key: state.account(key) for key in _ACCOUNTS},
        holds={"h3": state.hold("h3")},
        now=NOW + timedelta(seconds=1),
    )
    _, ended = decide([], later)
    return [*[opening(command) for command in _OPENINGS], *state.changes, *ended.changes]


async def request_every_change(client: Client) -> None:
    """Ask for the same changes. The last of them, the end of the hold h3, comes within some seconds by itself."""
    for path, fields in _REQUESTS:
        status, body, _ = await send(client, path, **fields)
        assert status == (409 if fields.get("orderId") in _DECLINED else 200), (path, fields, body)


CNY = {"currency": "CNY"}
JPY = {"currency": "JPY"}
FROM_U1: dict[str, Any] = {"fromuserId": "u1", "fromaccountId": "a1"}
TO_U1: dict[str, Any] = {"touserId": "u1", "toaccountId": "a1"}
FROM_U2: dict[str, Any] = {"fromuserId": "u2", "fromaccountId": "a2"}
TO_U2: dict[str, Any] = {"touserId": "u2", "toaccountId": "a2"}
U1: dict[str, Any] = {"userId": "u1", "accountId": "a1"}

# The fields in callbacks, by the change's type and the order or, for an account's setting, the change.
CALLBACKS: dict[tuple[str, str], dict[str, Any]] = {
    ("account_opened", "a1"): U1 | CNY | {"entry": 0},
    ("account_opened", "a2"): {"userId": "u2", "accountId": "a2", "entry": 0} | CNY,
    ("account_added", "yen"): {"userId": "u1", "accountId": "yen", "entry": 0} | JPY,
    ("account_frozen", "n1"): U1 | CNY | {"entry": 8, "balance": "60.00", "frozen": "debits", "reason": "a check"},
    ("account_frozen", "n2"): U1 | CNY | {
        "entry": 8, "balance": "60.00", "frozen": "none", "reason": "all is well",
    },
    ("limit_changed", "n3"): {
        "userId": "u1", "accountId": "yen", "entry": 1, "balance": "1500", "floor": "-500",
        "reason": "a good customer",
    } | JPY,
    ("account_added", "spare"): {"userId": "u2", "accountId": "spare", "entry": 0} | CNY,
    ("account_closed", "n4"): CNY | {
        "userId": "u2", "accountId": "spare", "entry": 0, "balance": "0.00", "status": "closed",
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
    ("hold_extended", "x2"): FROM_U1 | TO_U2 | CNY | {
        "holdOrderId": "h3", "amount": "6.00", "held": "6.00", "expiresAt": "2026-01-02T03:04:06.000000Z",
        "fromEntry": 8, "toEntry": 3, "fromBalance": "60.00", "toBalance": "35.00",
    },
    # What ends by itself names the payer alone.
    ("hold_expired", "h3"): FROM_U1 | CNY | {
        "amount": "6.00", "held": "0.00", "fromEntry": 8, "fromBalance": "60.00",
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


# The messages, by their type and source: who caused it, whom it is about, and who reads it.
MESSAGES: dict[tuple[str, str], tuple[str, str, str]] = {
    ("account_opened", "a1"): ("u1", "u1", "u1"),
    ("account_opened", "a2"): ("u2", "u2", "u2"),
    ("account_added", "yen"): ("u1", "u1", "u1"),
    ("account_added", "spare"): ("u2", "u2", "u2"),
    # Each change of an account has an id of its own: it may be frozen twice.
    ("account_frozen", "n1"): ("u1", "u1", "u1"),
    ("account_frozen", "n2"): ("u1", "u1", "u1"),
    ("limit_changed", "n3"): ("u1", "u1", "u1"),
    ("account_closed", "n4"): ("u2", "u2", "u2"),
    ("recharge", "r1"): ("u1", "u1", "u1"),
    ("recharge", "r2"): ("u1", "u1", "u1"),
    ("transfer_out", "t1"): ("u1", "u2", "u1"),
    ("transfer_in", "t1"): ("u1", "u2", "u2"),
    ("withdraw", "w1"): ("u1", "u1", "u1"),
    ("refund_out", "f1"): ("u2", "u1", "u2"),
    ("refund_in", "f1"): ("u2", "u1", "u1"),
    ("refund_in", "f2"): ("u1", "u1", "u1"),
    ("refund_out", "f3"): ("u1", "u1", "u1"),
    ("hold", "h1"): ("u1", "u1", "u1"),
    ("hold", "h2"): ("u1", "u1", "u1"),
    ("hold", "h3"): ("u1", "u1", "u1"),
    ("hold_extended", "x1"): ("u1", "u1", "u1"),
    ("hold_extended", "x2"): ("u1", "u1", "u1"),
    ("capture_out", "c1"): ("u1", "u2", "u1"),
    ("capture_in", "c1"): ("u1", "u2", "u2"),
    # The outside world has no inbox. That the hold has ended, the message about its capture says.
    ("capture_out", "c2"): ("u1", "u1", "u1"),
    ("hold_released", "h1"): ("u1", "u1", "u1"),
    ("hold_expired", "h3"): ("u1", "u1", "u1"),
    ("decline", "t2"): ("u1", "u1", "u1"),
    ("decline", "w2"): ("u2", "u2", "u2"),
    ("decline", "f4"): ("u2", "u2", "u2"),
    ("decline", "f5"): ("u1", "u1", "u1"),
    ("decline", "c3"): ("u1", "u1", "u1"),
}
