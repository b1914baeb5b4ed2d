"""The schema's versions, and the upgrade from a database's version to this program's, by Alembic.

Alembic is imported only when there is something to migrate, so that an ordinary start does not pay for it.
"""

import ast
import io
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ..database.error_kinds import is_missing_table
from ..database.start_errors import DatabaseNotReady
from ..settings.paths import resource

if TYPE_CHECKING:
    from alembic.config import Config

# Gets each line of a migration's report.
Report = Callable[[str], None]

MIGRATIONS: Final = resource("sql/migrations")

SETUP_HEADER: Final = """\
-- Sets up an empty MySQL 8 or MariaDB 10.11 database as `myaccount migrate` does:  mariadb DATABASE < sql/sql.sql
-- Written by `make sql` from sql/migrations; a test holds the two together.

"""


def known_versions() -> tuple[str, ...]:
    """Return the schema's versions that this program knows, oldest first; it needs the last one."""
    return _versions_in(MIGRATIONS)


@cache
def _versions_in(folder: Path) -> tuple[str, ...]:
    # Cached: an installation over the running program does not change what this process knows.
    return tuple(sorted(file.name.partition("_")[0] for file in (folder / "versions").glob("[0-9]*.py")))


def head_version() -> str:
    return known_versions()[-1]


def versions_after(version: str | None) -> list[str]:
    return [known for known in known_versions() if version is None or known > version]


def title_of(version: str) -> str:
    """Return one line about the version: its docstring's first."""
    (file,) = (MIGRATIONS / "versions").glob(f"{version}_*.py")
    return (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n")[0]


def read_version(connection: Connection) -> str | None:
    """Return the version of the database's schema; None without one, or if the first migration is unfinished."""
    try:
        # While another program makes the table, this waits. In MySQL, asking whether there is one would fail.
        version: str | None = connection.scalar(text("SELECT MAX(version_num) FROM alembic_version"))
    except DBAPIError as error:
        if not is_missing_table(error):
            raise
        return None
    return version


def upgrade(connection: Connection, report: Report) -> list[str]:
    """Upgrade the schema to this program's version, in the caller's transaction; return the versions applied.

    An upgrade that was interrupted is completed by the next. Raises DatabaseNotReady, before anything is changed,
    if the migrations cannot start from what the database holds.
    """
    versions = versions_after(read_version(connection))
    if not versions:
        return []
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _alembic(connection=connection, dialect=connection.dialect.name, report=report)
    scripts = ScriptDirectory.from_config(config)
    with _refusals():
        for version in versions:
            # A migration's conditions are checked before anything is changed, even before Alembic's own table
            # exists.
            if check := getattr(scripts.get_revision(version).module, "check", None):
                check(connection)
        command.upgrade(config, "head")
    return versions


def upgrade_script(dialect: str, connection: Connection | None = None) -> str:
    """Return the SQL of an upgrade of that database, which is only read, or of an empty one.

    Raises DatabaseNotReady as `upgrade` does.
    """
    from alembic import command

    output = io.StringIO()
    version = None if connection is None else read_version(connection)
    config = _alembic(
        connection=connection,
        dialect=dialect,
        report=lambda line: print(f"-- {line}", file=output),
        output=output,
    )
    with _refusals():
        command.upgrade(config, f"{version}:head" if version else "head", sql=True)
    # Alembic leaves blanks at the ends of lines.
    script = re.sub(r",\s*\n", ",\n", output.getvalue()).replace(")ENGINE", ") ENGINE")
    return script.rstrip() + "\n"


def setup_script() -> str:
    """Return the content of `sql/sql.sql`."""
    return SETUP_HEADER + upgrade_script("mysql")


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise DatabaseNotReady for a migration's CommandError: migrations import nothing of the living program."""
    from alembic.util import CommandError

    try:
        yield
    except CommandError as error:
        raise DatabaseNotReady(str(error)) from None


def _alembic(*, output: io.StringIO | None = None, **attributes: Any) -> "Config":
    from alembic.config import Config

    # We report what was done ourselves.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config(output_buffer=output, attributes=attributes)
    # Options are interpolated like those of an .ini file, so a percent sign is doubled.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
