"""How Alembic runs the migrations: in the program's open transaction, or as an SQL script.

MySQL and MariaDB commit each change of a table at once. So a migration may be interrupted after any of them, and
must continue from there when it is run again.
"""

from typing import Any

from alembic import context
from alembic.ddl.mysql import MySQLImpl
from sqlalchemy import Table


class _Exact(MySQLImpl):
    """Gives the version's table the options of our own tables, whatever the server's defaults are."""

    __dialect__ = "mysql"

    def version_table_impl(self, **kw: Any) -> Table:
        table = super().version_table_impl(**kw)
        table.dialect_kwargs.update(mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin")
        return table


attributes = context.config.attributes
if context.is_offline_mode():
    context.configure(
        dialect_name=attributes["dialect"],
        literal_binds=True,
        # SQLite can roll back a change of the schema. MySQL and MariaDB commit each at once.
        transactional_ddl=attributes["dialect"] == "sqlite",
    )
else:
    context.configure(connection=attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
