"""How Alembic runs the migrations: in the transaction that the program has begun, or as a script of SQL.

MySQL and MariaDB commit each change of a table at once, so that a migration may have been interrupted after any of
them, and must go on from there when it is run again.
"""

from typing import Any

from alembic import context
from alembic.ddl.mysql import MySQLImpl
from sqlalchemy import Table


class _Exact(MySQLImpl):
    """MySQL and MariaDB with a table of the version like all our tables, whatever the server's defaults are."""

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
        # SQLite undoes a change of the schema like any other; MySQL and MariaDB commit each at once.
        transactional_ddl=attributes["dialect"] == "sqlite",
    )
else:
    context.configure(connection=attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
