"""Holds: reserving money, capturing it, releasing it, and extending its time."""

from typing import Final

from ..errors import OrderNotFound
from ..ledger.order_commands import Capture, Extend, Hold, Release
from ..ledger.refusals import (
    AccountClosed,
    AccountFrozen,
    BalanceTooLarge,
    CaptureExceedsHold,
    HoldEnded,
    HoldExpired,
    InsufficientFunds,
    NotAHold,
    OrderMismatch,
    SameAccount,
)
from .common_fields import (
    ACCOUNT_CURRENCY,
    EXPIRES_IN,
    MONEY,
    ORDER_ID,
    PAYEE,
    PAYEE_ACCOUNT,
    PAYER,
    PAYER_ACCOUNT,
    REMARKS,
)
from .field_kinds import FLAG
from .operation import Field, Operation, Texts
from .orders import PARTY_ERRORS
from .submitting import in_currency

_HOLD_ORDER_ID: Final = ORDER_ID._replace(
    chinese="预授权订单号", english="Hold's order id", example="h1", fresh=False
)
_HOLD_ERRORS: Final = (OrderNotFound, NotAHold, HoldExpired, HoldEnded, OrderMismatch)

HOLD: Final = Operation(
    "/hold",
    in_currency(Hold),
    {
        "orderId": ORDER_ID._replace(example="h1"),
        "fromuserId": PAYER,
        "fromaccountId": PAYER_ACCOUNT,
        "touserId": PAYEE._replace(default=None),
        "toaccountId": PAYEE_ACCOUNT._replace(default=None),
        "amount": MONEY,
        "currency": ACCOUNT_CURRENCY,
        "expiresIn": EXPIRES_IN._replace(default=None),
        **REMARKS,
    },
    Texts(
        "预授权",
        "Hold (authorise)",
        "冻结付款方的一笔金额，留待以后请款。",
        "Reserves an amount of the payer's balance, to be captured later.",
    ),
    scopes=("money:move", "money:out"),
    either=(("fromuserId", "fromaccountId"), ("touserId", "toaccountId")),
    errors=(SameAccount, InsufficientFunds, *PARTY_ERRORS),
)
CAPTURE: Final = Operation(
    "/capture",
    Capture,
    {
        "orderId": ORDER_ID._replace(example="c1"),
        "holdOrderId": _HOLD_ORDER_ID,
        "amount": MONEY._replace(default=None),
        "final": Field(FLAG, "解冻剩余金额", "Release the rest", "true", default=None),
        **REMARKS,
    },
    Texts(
        "预授权完成（请款）",
        "Capture",
        "把冻结的金额付给收款方，可分多次；不填金额则全部付出。",
        "Pays what a hold reserved, in parts if you like; without an amount, all that is left.",
    ),
    scopes=("money:move", "money:out"),
    errors=(CaptureExceedsHold, *_HOLD_ERRORS, BalanceTooLarge, AccountFrozen, AccountClosed),
)
RELEASE: Final = Operation(
    "/release",
    Release,
    {"orderId": ORDER_ID._replace(example="v1"), "holdOrderId": _HOLD_ORDER_ID, **REMARKS},
    Texts(
        "预授权撤销",
        "Release (void)",
        "结束预授权，解冻剩余金额。",
        "Ends a hold: what is left of it is available again.",
    ),
    scopes=("money:move",),
    errors=_HOLD_ERRORS,
)
EXTEND: Final = Operation(
    "/extend",
    Extend,
    {
        "orderId": ORDER_ID._replace(example="e1"),
        "holdOrderId": _HOLD_ORDER_ID,
        "expiresIn": EXPIRES_IN,
        **REMARKS,
    },
    Texts(
        "预授权延期",
        "Extend a hold",
        "从现在起重新计算预授权的有效期。",
        "Lets a hold expire that many seconds from now.",
    ),
    scopes=("money:move",),
    errors=_HOLD_ERRORS,
)
