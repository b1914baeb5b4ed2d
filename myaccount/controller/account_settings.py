"""Freezing accounts, closing them, setting the least balance, and the log of all that."""

import secrets
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar, get_args

from aiohttp import web

from ..accounts.change_log import LoggedChange, list_changes
from ..appkeys import database_key
from ..database.times import iso_time
from ..ledger.account_commands import Close, Freeze, Frozen, Limit
from ..ledger.refusals import AccountClosed, AccountInUse, AccountNotFound, LimitInUse
from .common_fields import ACCOUNT_ID
from .field_kinds import FLOOR, IDENTIFIER, Kind, one_of, text, whole
from .messages import NID_LIMIT, PAGE_LIMIT, nid_fits
from .operation import Field, Operation, Texts
from .rendering import money_text

Made = TypeVar("Made")

LOG_PAGE_SIZE: Final = 20
_REASON: Final = Field(text(200), "原因", "Reason", "Suspected fraud / 涉嫌欺诈")


class LogQuery(NamedTuple):
    """The fields of a page request for an account's log."""

    account_id: str
    page_size: int
    before: int


def cursor(value: str) -> int:
    """Return the id before which a page goes on. Raises ValueError."""
    if not nid_fits(value):
        raise ValueError("must be the `before` of an earlier reply")
    return int(value)


def _with_change_id(make: Callable[..., Made]) -> Callable[..., Made]:
    """Return `make` such that each change gets an id of its own."""

    def made(**values: Any) -> Made:
        return make(change_id=secrets.token_hex(16), **values)

    return made


FREEZE: Final = Operation(
    "/freeze",
    _with_change_id(Freeze),
    {
        "accountId": ACCOUNT_ID,
        "frozen": Field(one_of(get_args(Frozen)), "冻结范围", "What is frozen", "debits"),
        "reason": _REASON,
    },
    Texts(
        "冻结账户",
        "Freeze an account",
        "禁止账户付款（debits）、收款（credits）或全部（all）；none 为解冻账户。",
        "Stops an account's debits, credits, or all; none lifts the freeze.",
    ),
    scopes=("accounts:manage",),
    errors=(AccountNotFound, AccountClosed),
)
CLOSE: Final = Operation(
    "/close",
    _with_change_id(Close),
    {"accountId": ACCOUNT_ID, "reason": _REASON._replace(example="The user asked for it / 用户申请销户")},
    Texts(
        "销户",
        "Close an account",
        "永久关闭账户；余额和冻结金额必须为零。",
        "Closes an account for ever. Its balance and what is held must be zero.",
    ),
    scopes=("accounts:manage",),
    errors=(AccountNotFound, AccountInUse),
)
LIMIT: Final = Operation(
    "/limit",
    _with_change_id(Limit),
    {
        "accountId": ACCOUNT_ID,
        "floor": Field(FLOOR, "余额下限", "Least balance", "-500.00", argument="credit"),
        "reason": _REASON._replace(example="Credit agreed / 已授信"),
    },
    Texts(
        "余额下限",
        "Set a limit",
        "设置余额下限：0，或负数（透支额度）。",
        "Sets the least balance: 0, or below it as a credit.",
    ),
    scopes=("accounts:manage",),
    errors=(AccountNotFound, AccountClosed, LimitInUse),
)
ACCOUNT_LOG: Final = Operation(
    "/accountlog",
    LogQuery,
    {
        "accountId": Field(IDENTIFIER, "账户ID", "Account id", "a1"),
        "pageSize": Field(whole(1, PAGE_LIMIT), "每页条数", "Page size", "20", default=LOG_PAGE_SIZE),
        "before": Field(Kind(cursor), "下一页的起点", "Where the next page begins", "7", default=NID_LIMIT),
    },
    Texts(
        "账户变更记录",
        "Account log",
        "查看账户的冻结、销户和余额下限变更。",
        "Shows an account's freezes, closing and limits, newest first.",
        "没有变更记录。",
        "Nothing was changed.",
    ),
    scopes=("accounts:read",),
    errors=(AccountNotFound,),
)


async def accountlog(request: web.Request) -> dict[str, object]:
    query = await ACCOUNT_LOG.read(request)
    page = await list_changes(request.app[database_key], query.account_id, query.before, query.page_size)
    return {
        "result": [_row(change, query.account_id, page.currency) for change in page.changes],
        "pageSize": query.page_size,
        "before": str(page.changes[-1].id) if page.more else None,
    }


def _row(change: LoggedChange, account_id: str, currency: str) -> dict[str, object]:
    return {
        "ACCOUNT_ID": account_id,
        "CHANGE": change.setting,
        "VALUE": money_text(int(change.value), currency) if change.setting == "floor" else change.value,
        "REASON": change.reason,
        "CREATE_TIME": iso_time(change.created_at),
        "MADE_BY": change.made_by,
    }
