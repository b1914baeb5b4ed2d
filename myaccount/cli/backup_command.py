"""`myaccount backup FILE`: a copy of the embedded database, made while the service runs."""

from pathlib import Path

from ..database.backup import BackupFailed, back_up
from ..settings.paths import working_path
from ..settings.schema import Config
from .arguments import Commands, Options


def add_commands(commands: Commands) -> None:
    backup = commands.add(
        "backup",
        "copy the embedded database to a new file while the service runs",
        _backup,
        cannot="back up the database",
    )
    backup.add_argument("file", metavar="FILE", type=Path, help="the file to write, which must not exist")


def _backup(config: Config, options: Options) -> int:
    """Raises BackupFailed if there is no embedded database, or it cannot be copied."""
    if "mysql" in config:
        raise BackupFailed("the database is MySQL's or MariaDB's: mariadb-dump --single-transaction copies it")
    back_up(working_path(config["sqlite_file"]), options.file)
    print(f"The database was copied to {options.file}.")
    return 0
