"""The schema at start: the embedded file's is brought to this program's version, a server's must be there."""

import logging

from sqlalchemy import Connection, select

from ..ledger.errors import Unavailable
from ..model.tables import EXTERNAL_ACCOUNT, EXTERNAL_ACCOUNT_ID, account
from .database import Database
from .migrations import head_version, known_versions, read_version, upgrade

_logger = logging.getLogger(__name__)


class DatabaseNotReady(Exception):
    """The service cannot start on this database; the text says what to do."""


async def prepare_schema(database: Database, *, embedded: bool) -> None:
    """Bring the embedded file to this program's version; see that a server's database has it.

    Raises DatabaseNotReady if it has not, or cannot be reached.
    """
    try:
        version = await database.read(lambda connection: connection.run_sync(read_version))
        refuse_newer(database, version)
        if version != head_version():
            if not embedded:
                has = f"is at version {version}" if version else "has no schema yet"
                raise DatabaseNotReady(
                    f"the database {database.name} {has}, and this program needs version {head_version()}. "
                    "Run:  myaccount migrate -c FILE  (the same configuration)"
                )
            await database.migrate(lambda connection: upgrade(connection, _logger.info))
        if not await database.read(lambda connection: connection.run_sync(_has_external_account)):
            raise DatabaseNotReady(
                f"the database {database.name} lacks the external account, row 1 of the table account. "
                "Restore it from a backup."
            )
    except Unavailable:
        raise DatabaseNotReady(
            f"the database {database.name} cannot be reached or does not let us in; the log above tells why"
        ) from None


def refuse_newer(database: Database, version: str | None) -> None:
    """Raise DatabaseNotReady if the schema is of a version that this program does not know."""
    if version is not None and version not in known_versions():
        raise DatabaseNotReady(
            f"the database {database.name} is at version {version}, and this program is older: it knows those up "
            f"to {head_version()}. Install the program for which the database was migrated, or a newer one."
        )


def _has_external_account(connection: Connection) -> bool:
    account_id = select(account.c.account_id).where(account.c.id == EXTERNAL_ACCOUNT)
    return connection.scalar(account_id) == EXTERNAL_ACCOUNT_ID
