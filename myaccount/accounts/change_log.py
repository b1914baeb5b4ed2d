"""The log of an account: each change of its settings, with its reason."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..ledger.refusals import AccountNotFound
from ..model.ledger import account, account_change

_FIND_ACCOUNT = select(account.c.id, account.c.currency).where(account.c.account_id == bindparam("account_id"))
_LIST_CHANGES = (
    select(
        account_change.c.id,
        account_change.c.setting,
        account_change.c.value,
        account_change.c.reason,
        account_change.c.created_at,
        account_change.c.made_by,
    )
    .where(account_change.c.account == bindparam("account"), account_change.c.id < bindparam("before"))
    .order_by(account_change.c.id.desc())
    .limit(bindparam("count"))
)


class LoggedChange(NamedTuple):
    """A change of one of an account's settings: frozen, status or floor. A floor is in the smallest unit."""

    id: int
    setting: str
    value: str
    reason: str
    created_at: datetime
    # The id of an API key, or an operator's name. None if an open service took it.
    made_by: str | None


class LogPage(NamedTuple):
    """A page of an account's log, newest first; `more` is whether there are older changes."""

    currency: str
    changes: list[LoggedChange]
    more: bool


async def list_changes(database: Database, account_id: str, before: int, page_size: int) -> LogPage:
    """Return the changes of the account before the one with this id. Raises AccountNotFound."""

    async def work(connection: AsyncConnection) -> LogPage | None:
        found = (await connection.execute(_FIND_ACCOUNT, {"account_id": account_id})).first()
        if found is None:
            return None
        # One more than a page, to know whether there are more.
        which = {"account": found.id, "before": before, "count": page_size + 1}
        changes = [LoggedChange(*row) for row in await connection.execute(_LIST_CHANGES, which)]
        return LogPage(found.currency, changes[:page_size], len(changes) > page_size)

    page = await database.read(work)
    if page is None:
        raise AccountNotFound(f"There is no account {account_id!r}.", field="accountId")
    return page
