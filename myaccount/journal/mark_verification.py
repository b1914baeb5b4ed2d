"""Verifies that no inbox has messages about entries that its accounts do not have."""

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_BEYOND: Final = text("""\
SELECT account_id, number, last_entry FROM inbox_mark LEFT JOIN account ON account.id = inbox_mark.account
WHERE account_id IS NULL OR number > last_entry""")


async def mark_differences(connection: AsyncConnection) -> AsyncIterator[str]:
    """Give a sentence for each mark that is beyond its account's last entry."""
    for account_id, number, last_entry in await connection.execute(_BEYOND):
        if account_id is None:
            yield f"An inbox has messages about {number} entries of an account that does not exist."
        else:
            yield (
                f"Account {account_id}: its user's inbox has messages up to entry {number}, "
                f"but its last entry is {last_entry}."
            )
