"""What people look at on the command line: whether the books balance, and what waits."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ..database.backup import BackupFailed, back_up
from ..database.database import Database, open_database
from ..database.embedded_file import refuse_old_sqlite
from ..database.not_ready import DatabaseNotReady
from ..journal.books import verify_books
from ..migrations.startup import prepare_schema
from ..outbox.dead_letters import ALL, drop_named, list_waiting, resend_named
from ..settings.loading import callbacks_of
from ..settings.paths import working_path
from ..settings.schema import Config
from ..webhooks.deliveries import hosts_by_endpoint


def backup(config: Config, target: Path) -> int:
    """Copy the embedded database to a new file. Raises BackupFailed if there is none, or it cannot be copied."""
    if "mysql" in config:
        raise BackupFailed("the database is MySQL's or MariaDB's: mariadb-dump --single-transaction copies it")
    back_up(working_path(config["sqlite_file"]), target)
    print(f"The database was copied to {target}.")
    return 0


async def print_differences(config: Config) -> int:
    """Print each difference in the books; return 1 if there is one."""
    differences = 0
    async with ready_database(config) as database:
        async for difference in verify_books(database, _show_progress):
            print(difference)
            differences += 1
    print(f"{differences} differences." if differences else "The books balance.")
    return 1 if differences else 0


async def print_waiting(config: Config) -> int:
    """Print what waits to be delivered and what was set aside, one a line."""
    hosts = hosts_by_endpoint(callbacks_of(config))
    waiting = set_aside = 0
    async with ready_database(config) as database:
        async for row in list_waiting(database):
            if row.due_at is None:
                set_aside += 1
                state = f"set aside after {row.attempts} attempts"
            else:
                waiting += 1
                state = f"{row.attempts} attempts, next at {row.due_at:%Y-%m-%dT%H:%M:%SZ}"
            # Not the address, which may hold a password.
            host = hosts.get(row.endpoint or "", "no longer configured")
            target = f" to {row.endpoint} ({host})" if row.endpoint else ""
            reason = f": {row.error}" if row.error else ""
            print(f"{row.name} of {row.created_at:%Y-%m-%dT%H:%M:%SZ}{target}, {state}{reason}")
    print(f"{waiting} waiting, {set_aside} set aside.")
    return 0


async def resend(config: Config, name: str, to: str | None) -> int:
    """Have what has the name sent again, to another endpoint if one is given; return 1 if there is nothing."""
    endpoints = hosts_by_endpoint(callbacks_of(config))
    if to is not None and to not in endpoints:
        print(
            f"The configuration has no endpoint {to}. It has: {', '.join(endpoints) or 'none'}.", file=sys.stderr
        )
        return 1
    async with ready_database(config) as database:
        return _print_count(name, await resend_named(database, name, to), "sent again")


async def drop(config: Config, name: str) -> int:
    """Delete what has the name; return 1 if there is nothing."""
    async with ready_database(config) as database:
        return _print_count(name, await drop_named(database, name), "dropped")


def _print_count(name: str, count: int, done: str) -> int:
    if count or name == ALL:
        print(f"{count} {done}.")
        return 0
    print(f"There is nothing by the name {name}.", file=sys.stderr)
    return 1


def new_ledger(config: Config) -> Path | None:
    """Return the embedded file if it is not there yet."""
    file = working_path(config["sqlite_file"])
    return None if "mysql" in config or file.exists() else file


@asynccontextmanager
async def ready_database(config: Config) -> AsyncIterator[Database]:
    """Give the database. Raises DatabaseNotReady, which says why a service could not start on it."""
    if missing := new_ledger(config):
        refuse_old_sqlite()
        raise DatabaseNotReady(f"there is no ledger in {missing}. Name another sqlite_file, or start the service.")
    async with open_database(config, working_path(config["sqlite_file"])) as database:
        await prepare_schema(database, embedded="mysql" not in config)
        yield database


def _show_progress(done: int, count: int) -> None:
    """Draw a bar where somebody looks."""
    if sys.stderr.isatty():
        bar = "#" * (40 * done // count)
        print(f"\r[{bar:40}] {done} of {count} accounts", end="" if done < count else "\n", file=sys.stderr)
