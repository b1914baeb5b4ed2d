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
    version = await schema_version(database)
    if version != head_version() and not embedded:
        has = f"is at version {version}" if version else "has no schema yet"
        raise DatabaseNotReady(
            f"the database {database.name} {has}, and this program needs version {head_version()}. "
            "Run:  myaccount migrate -c FILE  (the same configuration)"
        )
    try:
        if version != head_version():
            await database.migrate(lambda connection: upgrade(connection, _logger.info))
        complete = await database.read(lambda connection: connection.run_sync(_has_external_account))
    except Unavailable as error:
        raise DatabaseNotReady(f"the database {database.name}: {error}") from None
    if not complete:
        raise DatabaseNotReady(
            f"the database {database.name} lacks the external account, row 1 of the table account. "
            "Restore it from a backup."
        )


async def schema_version(database: Database) -> str | None:
    """Return the version of the database's schema, None if it has none.

    Raises DatabaseNotReady if this program does not know it, or if the database cannot be reached.
    """
    try:
        version = await database.read(lambda connection: connection.run_sync(read_version))
    except Unavailable:
        raise DatabaseNotReady(
            f"the database {database.name} cannot be reached or does not let us in; the log above tells why"
        ) from None
    if version is not None and version not in known_versions():
        raise DatabaseNotReady(
            f"the database {database.name} is at version {version}, and this program is older: it knows those up "
            f"to {head_version()}. Install the program for which the database was migrated, or a newer one."
        )
    return version


def _has_external_account(connection: Connection) -> bool:
    account_id = select(account.c.account_id).where(account.c.id == EXTERNAL_ACCOUNT)
    return connection.scalar(account_id) == EXTERNAL_ACCOUNT_ID
