"""`myaccount migrate`: upgrades the schema to this program's version, or shows what that would do."""

import asyncio
from functools import partial

from sqlalchemy import Connection

from ..database.database import open_database
from ..migrations.runner import head_version, title_of, upgrade_script, versions_after
from ..migrations.startup import migrate_schema, schema_version
from ..settings.paths import working_path
from ..settings.schema import Config
from .arguments import Commands, Options


def add_commands(commands: Commands) -> None:
    migrate = commands.add(
        "migrate",
        "upgrade the database's schema to this program's version: before the first start, and after an upgrade",
        _run,
        cannot="migrate",
    )
    shows = migrate.add_mutually_exclusive_group()
    shows.add_argument("--status", action="store_true", help="print the versions, and change nothing")
    shows.add_argument("--sql", action="store_true", help="print the SQL that would be run, and run nothing")


def _run(config: Config, options: Options) -> int:
    do = _print_status if options.status else _print_script if options.sql else _migrate
    return asyncio.run(do(config))


async def _migrate(config: Config) -> int:
    """Upgrade the schema to this program's version, and print each step as it is done.

    Raises what `migrate_schema` does.
    """
    async with open_database(config, working_path(config["sqlite_file"])) as database:
        versions = await migrate_schema(database, partial(print, flush=True))
    for version in versions:
        print(f"{version}: {title_of(version)}")
    done = "It was migrated" if versions else "There was nothing to do"
    print(f"{done}: the database {database.name} is at version {head_version()}.")
    return 0


async def _print_status(config: Config) -> int:
    """Print the schema's version, this program's, and the migrations between them; change nothing."""
    version = None
    if _is_there(config):
        async with open_database(config, working_path(config["sqlite_file"])) as database:
            version = await schema_version(database)
    print(f"The database's version: {version or 'none'}. This program's: {head_version()}.")
    for pending in versions_after(version):
        print(f"To run: {pending}: {title_of(pending)}")
    if version == head_version():
        print("Nothing to run.")
    return 0


async def _print_script(config: Config) -> int:
    """Print the SQL that `migrate` would run on the database as it is; run nothing."""
    if not _is_there(config):
        print(upgrade_script("sqlite"), end="")
        return 0

    def script(connection: Connection) -> str:
        return upgrade_script(connection.dialect.name, connection)

    async with open_database(config, working_path(config["sqlite_file"])) as database:
        version = await schema_version(database)
        if version == head_version():
            print(f"-- There is nothing to do: the database {database.name} is at version {version}.")
        else:
            print(await database.read(lambda connection: connection.run_sync(script)), end="")
    return 0


def _is_there(config: Config) -> bool:
    """Whether there is a database. Opening the embedded file would make it."""
    return "mysql" in config or working_path(config["sqlite_file"]).exists()
