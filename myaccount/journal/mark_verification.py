"""Verifies that no inbox has messages about entries or declines that its accounts do not have."""

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_BEYOND: Final = text("""\
SELECT account_id, number, declines, last_entry, last_decline
FROM inbox_mark LEFT JOIN account ON account.id = inbox_mark.account
WHERE account_id IS NULL OR number > last_entry OR declines > last_decline""")


async def mark_differences(connection: AsyncConnection) -> AsyncIterator[str]:
    """Give a sentence for each mark that is beyond its account's last entry or last decline."""
    for account_id, number, declines, last_entry, last_decline in await connection.execute(_BEYOND):
        if account_id is None:
            yield f"An inbox has messages about {number} entries of an account that does not exist."
            continue
        for kind, mark, last in (("entry", number, last_entry), ("decline", declines, last_decline)):
            if mark > last:
                yield (
                    f"Account {account_id}: its user's inbox has messages up to {kind} {mark}, "
                    f"but its last {kind} is {last}."
                )
