"""A change of every type, as the rules make it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from myaccount.ledger.changes import Change, opening
from myaccount.ledger.commands import (
    AddAccount,
    Capture,
    Close,
    Command,
    EndHolds,
    Extend,
    Freeze,
    Hold,
    Limit,
    OpenAccount,
    Recharge,
    Refund,
    Release,
    Transfer,
    Withdraw,
)
from myaccount.ledger.decide import decide
from myaccount.ledger.money import Amount
from myaccount.ledger.records import Account
from myaccount.ledger.references import AccountId, OutsideOf, Reference
from myaccount.ledger.state import Known

NOW = datetime(2026, 1, 2, 3, 4, 5)
NAMES = {"u1": "张三", "u2": "李四"}

_ACCOUNTS = {
    1: Account(1, floor=None, account_id="outside CNY"),
    2: Account(2, account_id="a1", user_id="u1"),
    3: Account(3, account_id="a2", user_id="u2"),
    4: Account(4, account_id="yen", user_id="u1", currency="JPY"),
    5: Account(5, floor=None, account_id="outside JPY", currency="JPY"),
}
_KEYS: dict[Reference, int] = {
    "u1": 2,
    "u2": 3,
    OutsideOf("CNY"): 1,
    OutsideOf("JPY"): 5,
    **{AccountId(account.account_id): key for key, account in _ACCOUNTS.items()},
}
_COMMANDS: Sequence[Command] = (
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
)
_OPENINGS: Sequence[OpenAccount | AddAccount] = (
    OpenAccount("u1", "张三", "F", "6222", "a1", "01"),
    AddAccount("u1", "yen", "01", currency="JPY"),
)


def every_change() -> list[Change]:
    """Return changes of every type, and of each kind of order and of refund."""
    _, state = decide(_COMMANDS, Known(keys=_KEYS, accounts=_ACCOUNTS, now=NOW))
    later = Known(
        keys=_KEYS,
        accounts={key: state.account(key) for key in _ACCOUNTS},
        holds={"h3": state.hold("h3")},
        now=NOW + timedelta(hours=1),
    )
    _, ended = decide([EndHolds(AccountId("a1"))], later)
    empty = Known(keys=_KEYS, accounts=_ACCOUNTS, now=NOW)
    _, closed = decide([Close("n4", AccountId("a2"), "the user's wish")], empty)
    return [*[opening(command) for command in _OPENINGS], *state.changes, *ended.changes, *closed.changes]
