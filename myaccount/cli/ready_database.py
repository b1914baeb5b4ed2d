"""The database that a command uses, if a service could start on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ..database.database import Database, open_database
from ..database.embedded_file import refuse_old_sqlite
from ..database.start_errors import DatabaseNotReady
from ..migrations.startup import prepare_schema
from ..settings.paths import working_path
from ..settings.schema import Config


def new_ledger(config: Config) -> Path | None:
    """Return the embedded file if it does not exist yet."""
    file = working_path(config["sqlite_file"])
    return None if "mysql" in config or file.exists() else file


@asynccontextmanager
async def ready_database(config: Config) -> AsyncIterator[Database]:
    """Open the database. Raises DatabaseNotReady, which says why a service could not start on it."""
    if missing := new_ledger(config):
        refuse_old_sqlite()
        raise DatabaseNotReady(f"there is no ledger in {missing}. Name another sqlite_file, or start the service.")
    async with open_database(config, working_path(config["sqlite_file"])) as database:
        await prepare_schema(database)
        yield database
