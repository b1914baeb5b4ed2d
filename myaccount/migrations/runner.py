"""The schema's versions: the one that a database has, and the way from there to this program's.

Alembic is loaded only where there is something to migrate: a start that finds its schema pays nothing for it.
"""

import ast
import io
import logging
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, inspect, text

from ..settings.paths import resource

if TYPE_CHECKING:
    from alembic.config import Config

# Who is told, a line at a time, what a migration does.
Tell = Callable[[str], None]

MIGRATIONS: Final = resource("sql/migrations")

SETUP_HEADER: Final = """\
-- Sets up an empty MySQL 8 or MariaDB 10.11 database as `myaccount migrate` does:  mariadb DATABASE < sql/sql.sql
-- Written by `make sql` from sql/migrations; a test holds the two together.

"""


def known_versions() -> tuple[str, ...]:
    """Return the versions of the schema that this program knows, the first first; it works on the last."""
    return _versions_in(MIGRATIONS)


@cache
def _versions_in(folder: Path) -> tuple[str, ...]:
    # Looked for once: what runs is what was started, whatever is installed over it meanwhile.
    return tuple(sorted(file.name.partition("_")[0] for file in (folder / "versions").glob("[0-9]*.py")))


def head_version() -> str:
    return known_versions()[-1]


def versions_after(version: str | None) -> list[str]:
    return [known for known in known_versions() if version is None or known > version]


def title_of(version: str) -> str:
    """Return what the version brings, in a line."""
    (file,) = (MIGRATIONS / "versions").glob(f"{version}_*.py")
    return (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n")[0]


def read_version(connection: Connection) -> str | None:
    """Return the version of the database's schema; None if it has none, or an unfinished first one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT MAX(version_num) FROM alembic_version"))
    return version


def upgrade(connection: Connection, tell: Tell) -> list[str]:
    """Bring the schema to this program's version, in the caller's transaction; return the versions on the way.

    One that was interrupted is completed by the next. Raises DatabaseNotReady, before anything is changed, if
    there is what it cannot go on from.
    """
    versions = versions_after(read_version(connection))
    if not versions:
        return []
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _alembic(connection=connection, dialect=connection.dialect.name, tell=tell)
    scripts = ScriptDirectory.from_config(config)
    for version in versions:
        # The conditions of a migration are checked while nothing is changed: not even the version's table is made.
        if check := getattr(scripts.get_revision(version).module, "check", None):
            check(connection)
    command.upgrade(config, "head")
    return versions


def upgrade_script(dialect: str, connection: Connection | None = None) -> str:
    """Return the SQL that an upgrade runs: on that database, which is only read, or on an empty one."""
    from alembic import command

    output = io.StringIO()
    version = None if connection is None else read_version(connection)
    config = _alembic(
        connection=connection,
        dialect=dialect,
        tell=lambda line: print(f"-- {line}", file=output),
        output=output,
    )
    command.upgrade(config, f"{version}:head" if version else "head", sql=True)
    # Alembic leaves blanks at the ends of lines.
    script = re.sub(r",\s*\n", ",\n", output.getvalue()).replace(")ENGINE", ") ENGINE")
    return script.rstrip() + "\n"


def setup_script() -> str:
    """Return what `sql/sql.sql` holds."""
    return SETUP_HEADER + upgrade_script("mysql")


def _alembic(*, output: io.StringIO | None = None, **attributes: Any) -> "Config":
    from alembic.config import Config

    # What it did is told by us, in our words.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config(output_buffer=output, attributes=attributes)
    # As an option of its file it would be asked for its percent signs.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
