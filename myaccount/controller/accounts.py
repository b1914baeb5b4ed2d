"""Opening accounts, and looking at them."""

from typing import Final

from aiohttp import web

from ..accounts.holdings import Holding
from ..accounts.opening import open_account
from ..appkeys import account_queries_key, database_key, queue_key, replayed_key
from ..errors import OpenedBefore
from ..ledger.commands import OpenAccount
from ..ledger.money import format_amount
from .forms import Form, Optional, identifier, text

OPEN: Final = Form(
    OpenAccount,
    userId=identifier,
    userName=text(),
    sex=text(2),
    cardNum=text(),
    accountId=identifier,
    accountType=text(),
    teamId=Optional(identifier),
)
QUERY: Final = Form(str, userId=identifier)


async def openacc(request: web.Request) -> dict[str, object]:
    command = await OPEN.read(request)
    try:
        await open_account(request.app[database_key], request.app[queue_key].announce, command)
    except OpenedBefore:
        request[replayed_key] = True
        raise
    return {"result": 1}


async def queryacc(request: web.Request) -> dict[str, object]:
    user_id = await QUERY.read(request)
    holding = await request.app[account_queries_key].ask(user_id)
    return {"result": [] if holding is None else [_row(holding)]}


async def opeacclistentest(request: web.Request) -> str:
    """Answer the listener, where the configuration names no other address for it to call."""
    return "success"


def _row(holding: Holding) -> dict[str, object]:
    user = holding.user
    return {
        "ID": user.id,
        "USER_ID": user.user_id,
        "USER_NAME": user.user_name,
        "SEX": user.sex,
        "CARD_NUM": user.card_num,
        "ACCOUNTS": [
            {
                "ACCOUNT_ID": account.account_id,
                "ACCOUNT_TYPE": account.account_type,
                "TEAM_ID": account.team_id,
                "CURRENCY": account.currency,
                "BALANCE": format_amount(account.balance),
            }
            for account in holding.accounts
        ],
    }
