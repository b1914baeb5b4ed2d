"""Opening, adding and querying accounts."""

from asyncio import Future
from typing import Final

from aiohttp import web

from ..access.callers import Caller
from ..access.scopes import OWN
from ..accounts.balances import AccountBalance, UserAccounts
from ..appkeys import account_queries_key
from ..database.times import iso_time
from ..errors import AccountExists, TeamNotFound, UserExists, UserNotFound
from ..ledger.account_commands import AddAccount, OpenAccount
from ..ledger.currencies import CNY
from .common_fields import ACCOUNT_CURRENCY, TEAM_ID, USER_ID
from .field_kinds import IDENTIFIER, text
from .operation import Field, Operation, Texts
from .own_data import id_as_seen
from .rendering import money_text, quoted

_NEW_ACCOUNT: Final = {
    "accountId": Field(IDENTIFIER, "账户ID", "Account id", "a1"),
    "accountType": Field(text(), "账户类型", "Account type", "01"),
    "currency": ACCOUNT_CURRENCY._replace(default=CNY.code),
    "teamId": TEAM_ID._replace(default=None),
}

OPEN_ACCOUNT: Final = Operation(
    "/openacc",
    OpenAccount,
    {
        "userId": USER_ID,
        "userName": Field(text(), "用户姓名", "User name", "Alice / 张三"),
        "sex": Field(text(2), "性别", "Sex", "F, M / 男, 女"),
        "cardNum": Field(text(), "卡号", "Card number", "6222020001"),
        **_NEW_ACCOUNT,
    },
    Texts(
        "开户",
        "Open an account",
        "为新用户开户。不妨先开两位：u1 用账户 a1，u2 用 a2。",
        "Creates a user and an account. Begin with two: u1 with account a1, u2 with a2.",
    ),
    scopes=("accounts:open",),
    errors=(UserExists, AccountExists, TeamNotFound),
)
ADD_ACCOUNT: Final = Operation(
    "/addaccount",
    AddAccount,
    {"userId": USER_ID, **_NEW_ACCOUNT, "accountId": _NEW_ACCOUNT["accountId"]._replace(example="a3")},
    Texts(
        "增开账户",
        "Add an account",
        "为已有用户增开一个账户，可以是其他币种。",
        "Adds an account to a user, in another currency if you like.",
    ),
    scopes=("accounts:open",),
    errors=(UserNotFound, AccountExists, TeamNotFound),
)
QUERY_ACCOUNTS: Final[Operation[str]] = Operation(
    "/queryacc",
    lambda user_id: user_id,
    {"userId": USER_ID},
    Texts(
        "账户查询",
        "Query accounts",
        "查看用户的账户与余额。",
        "Shows a user's accounts and balances.",
        "没有这个用户ID的用户。",
        "There is no user with this id.",
    ),
    scopes=("accounts:read", OWN),
)


def find_accounts(user_id: str, caller: Caller, app: web.Application) -> Future[UserAccounts | None]:
    return app[account_queries_key].fetch(id_as_seen(caller, user_id))


def accounts_text(user_id: str, caller: Caller, found: UserAccounts | None) -> bytes:
    return f'{{"result": [{"" if found is None else _user_text(found, caller)}]}}\n'.encode()


async def opeacclistentest(request: web.Request) -> str:
    """Reply to callbacks. Without `callbacks` in the configuration, the service sends them to itself."""
    return "success"


def _user_text(found: UserAccounts, caller: Caller) -> str:
    """Return the user with the accounts as JSON. To encode a dict would take several times as long."""
    user = found.user
    accounts = ", ".join(map(_account_text, found.accounts))
    return (
        f'{{"ID": {user.id}, "USER_ID": {quoted(user.user_id)}, "USER_NAME": {quoted(user.user_name)},'
        f' "SEX": {quoted(user.sex)}, "CARD_NUM": {quoted(caller.shown_card(user.card_num))},'
        f' "ACCOUNTS": [{accounts}]}}'
    )


def _account_text(account: AccountBalance) -> str:
    currency, available = account.currency, account.balance - account.held - account.floor
    return (
        f'{{"ACCOUNT_ID": {quoted(account.account_id)}, "ACCOUNT_TYPE": {quoted(account.account_type)},'
        f' "TEAM_ID": {quoted(account.team_id)}, "CURRENCY": "{currency}",'
        f' "BALANCE": "{money_text(account.balance, currency)}", "HELD": "{money_text(account.held, currency)}",'
        f' "AVAILABLE": "{money_text(available, currency)}", "FLOOR": "{money_text(account.floor, currency)}",'
        f' "FROZEN": {quoted(account.frozen)}, "STATUS": {quoted(account.status)},'
        f' "CREATE_TIME": "{iso_time(account.created_at)}"}}'
    )
