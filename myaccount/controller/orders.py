"""Recharges, transfers, withdrawals, refunds, and queries of orders."""

from asyncio import Future
from typing import Final

from aiohttp import web

from ..access.callers import Caller
from ..access.scopes import OWN
from ..appkeys import order_queries_key
from ..database.times import iso_time
from ..errors import OrderNotFound, UserNotFound
from ..journal.order_query import AskedOrder, HoldDescription, OrderDescription
from ..ledger.order_commands import Capture, Extend, Recharge, Refund, Release, Transfer, Withdraw
from ..ledger.order_rules import REFUNDABLE
from ..ledger.records import POSTED
from ..ledger.refusals import (
    AccountClosed,
    AccountFrozen,
    AccountNotFound,
    BalanceTooLarge,
    CurrencyMismatch,
    InsufficientFunds,
    NotRefundable,
    OrderMismatch,
    RefundExceedsOrder,
    SameAccount,
)
from .common_fields import (
    ACCOUNT_CURRENCY,
    MONEY,
    ORDER_ID,
    PAYEE,
    PAYEE_ACCOUNT,
    PAYER,
    PAYER_ACCOUNT,
    REMARKS,
    USER_OR_ACCOUNT,
)
from .operation import Operation, Texts
from .rendering import money_text, quoted
from .submitting import in_currency

PARTY_ERRORS: Final = (
    UserNotFound,
    AccountNotFound,
    CurrencyMismatch,
    AccountFrozen,
    AccountClosed,
    OrderMismatch,
)
_ABOUT_HOLDS: Final = frozenset(kind.order_type for kind in (Capture, Release, Extend))

RECHARGE: Final = Operation(
    "/recharge",
    in_currency(Recharge),
    {
        "orderId": ORDER_ID,
        "userId": PAYEE._replace(chinese="用户ID", english="User id", example="u1"),
        "accountId": PAYEE_ACCOUNT._replace(chinese="账户ID", english="Account id", example="a1"),
        "amount": MONEY,
        "currency": ACCOUNT_CURRENCY,
        **REMARKS,
    },
    Texts("充值", "Recharge (top up)", "把钱充入用户的账户。", "Puts money into a user's account."),
    scopes=("money:in",),
    either=(USER_OR_ACCOUNT,),
    errors=(*PARTY_ERRORS, BalanceTooLarge),
)
TRANSFER: Final = Operation(
    "/transfer",
    in_currency(Transfer),
    {
        "orderId": ORDER_ID._replace(example="t1"),
        "fromuserId": PAYER,
        "fromaccountId": PAYER_ACCOUNT,
        "touserId": PAYEE,
        "toaccountId": PAYEE_ACCOUNT,
        "amount": MONEY,
        "currency": ACCOUNT_CURRENCY,
        **REMARKS,
    },
    Texts(
        "转账",
        "Transfer",
        "从一位用户转给另一位用户；余额不足则交易失败。",
        "Moves money from one user to another, if the balance covers it.",
    ),
    scopes=("money:move",),
    either=(("fromuserId", "fromaccountId"), ("touserId", "toaccountId")),
    errors=(SameAccount, InsufficientFunds, *PARTY_ERRORS, BalanceTooLarge),
)
WITHDRAW: Final = Operation(
    "/withdraw",
    in_currency(Withdraw),
    {
        "orderId": ORDER_ID._replace(example="w1"),
        "userId": PAYER._replace(chinese="用户ID", english="User id"),
        "accountId": PAYER_ACCOUNT._replace(chinese="账户ID", english="Account id"),
        "amount": MONEY,
        "currency": ACCOUNT_CURRENCY,
        **REMARKS,
    },
    Texts(
        "提现",
        "Withdraw",
        "记录一笔从用户账户付出的钱；余额不足则交易失败。",
        "Records money that is paid out of a user's account, if the balance covers it.",
    ),
    scopes=("money:out",),
    either=(USER_OR_ACCOUNT,),
    errors=(InsufficientFunds, *PARTY_ERRORS, BalanceTooLarge),
)
REFUND: Final = Operation(
    "/refund",
    Refund,
    {
        "orderId": ORDER_ID._replace(example="f1"),
        "originalOrderId": ORDER_ID._replace(chinese="原订单号", english="Original order id", fresh=False),
        "amount": MONEY._replace(default=None),
        **REMARKS,
    },
    Texts(
        "退款",
        "Refund",
        "把一笔订单的钱退还付款方，可分多次；不填金额则退还全部剩余金额。",
        "Gives an order's money back, in parts if you like; without an amount, all that is left.",
    ),
    scopes=("money:move", "money:in"),
    errors=(
        OrderNotFound,
        NotRefundable,
        RefundExceedsOrder,
        InsufficientFunds,
        BalanceTooLarge,
        AccountFrozen,
        AccountClosed,
        OrderMismatch,
    ),
)
QUERY_ORDER: Final[Operation[str]] = Operation(
    "/querorder",
    lambda order_id: order_id,
    {"orderId": ORDER_ID._replace(fresh=False)},
    Texts(
        "订单查询",
        "Query an order",
        "查看一笔订单的结果。",
        "Shows what became of an order.",
    ),
    scopes=("orders:read", OWN),
    errors=(OrderNotFound,),
)


def find_order(order_id: str, caller: Caller, app: web.Application) -> Future[OrderDescription | None]:
    return app[order_queries_key].fetch(AskedOrder(order_id, caller.only_user))


def order_text(order_id: str, caller: Caller, order: OrderDescription | None) -> bytes:
    only_user = caller.only_user
    if order is None:
        raise OrderNotFound(f"There is no order {order_id!r}.", field="orderId")
    return (_order_text(order if only_user is None else _as_seen(order, only_user)) + "\n").encode()


def _as_seen(order: OrderDescription, user_id: str) -> OrderDescription:
    """Return the order without what is the shop's or the other party's own.

    Who made an order is a key or an operator, and a bulk has orders of others. A payee must not learn why the
    payer could not pay.
    """
    seen = order._replace(bulk_id=None, made_by=None)
    return seen if order.actor == user_id else seen._replace(reason=None)


def _order_text(order: OrderDescription) -> str:
    """Return the order as JSON. To encode a dict would take several times as long."""
    currency, hold = order.currency, order.hold
    refundable = order.status == POSTED and order.order_type in REFUNDABLE
    from_account = order.from_account_id if order.from_user_id is not None else None
    to_account = order.to_account_id if order.to_user_id is not None else None
    refunded = money_text(order.refunded, currency) if refundable else None
    refund_of = order.target if order.order_type == Refund.order_type else None
    about_hold = order.target if order.order_type in _ABOUT_HOLDS else None
    return (
        f'{{"ORDER_ID": {quoted(order.order_id)}, "ORDER_TYPE": {quoted(order.order_type)},'
        f' "FROM_USER_ID": {quoted(order.from_user_id)}, "TO_USER_ID": {quoted(order.to_user_id)},'
        f' "FROM_ACCOUNT_ID": {quoted(from_account)}, "TO_ACCOUNT_ID": {quoted(to_account)},'
        f' "AMOUNT": "{money_text(order.amount, currency)}", "CURRENCY": "{currency}",'
        f' "STATUS": {quoted(order.status if hold is None else hold.status)}, "REASON": {quoted(order.reason)},'
        f' "CREATE_TIME": "{iso_time(order.created_at)}", "NOTE": {quoted(order.note)},'
        f' "REFERENCE": {quoted(order.reference)}, "BULK_ID": {quoted(order.bulk_id)},'
        f' "MADE_BY": {quoted(order.made_by)}, "REFUNDED": {quoted(refunded)},'
        f' "ORIGINAL_ORDER_ID": {quoted(refund_of)}, "HOLD_ORDER_ID": {quoted(about_hold)},'
        f" {_hold_text(hold, currency)}}}"
    )


def _hold_text(hold: HoldDescription | None, currency: str) -> str:
    """Return the members about a hold."""
    if hold is None:
        return '"CAPTURED": null, "LEFT": null, "EXPIRES_AT": null'
    captured, left = money_text(hold.captured, currency), money_text(hold.left, currency)
    return f'"CAPTURED": "{captured}", "LEFT": "{left}", "EXPIRES_AT": "{iso_time(hold.expires_at)}"'
