"""Differences between database servers, and what a start reports about their settings."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from myaccount.database.database import open_database
from myaccount.database.start_errors import DatabaseNotReady
from myaccount.migrations.startup import prepare_schema
from myaccount.settings.schema import CONFIGURATION, Config

from ..conftest import Section
from ..helpers.actions import first_row
from ..helpers.engines import new_server
from ..helpers.servers import MariaDB

PASSWORD = "pä$$wörd 密码 \U0001f511"


def _config(section: Section) -> Config:
    checked: Config = CONFIGURATION.check({"mysql": section})
    return checked


@pytest.fixture
def other_letters(mariadb: MariaDB) -> Iterator[str]:
    """The name of a user whose password is in no single code page."""
    with mariadb.connect("root", "") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER anna IDENTIFIED BY %s", (PASSWORD,))
        cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO anna")
        yield "anna"
        cursor.execute("DROP USER anna")


@pytest.mark.not_on("foreign", because="it creates a user")
async def test_a_password_may_have_any_characters(mysql_section: Section, other_letters: str) -> None:
    config = _config(mysql_section | {"user": other_letters, "password": PASSWORD})
    # MySQL 8 wants the password itself the first time, and a hash after that.
    for _ in range(2):
        async with open_database(config, Path()) as database:
            await prepare_schema(database)
            assert await database.read(lambda c: first_row(c, text("SELECT CURRENT_USER()"))) == ("anna@%",)


@pytest.mark.not_on("foreign", because="it creates a user")
async def test_a_wrong_password_with_any_characters_is_refused_with_a_message(
    mysql_section: Section, other_letters: str
) -> None:
    config = _config(mysql_section | {"user": other_letters, "password": PASSWORD + "密"})
    async with open_database(config, Path()) as database:
        with pytest.raises(DatabaseNotReady, match="Access denied"):
            await prepare_schema(database)


class TestRefusedWrites:
    @pytest.fixture
    def mariadb(self, tmp_path: Path) -> Iterator[MariaDB]:
        """A separate server, with a setting with which the service cannot work."""
        server = new_server(tmp_path / "server")
        server.options = ["--log-bin=changes", "--server-id=1", "--binlog-format=STATEMENT"]
        yield server.start()
        server.stop()

    @pytest.mark.not_on("foreign", because="it needs a server with another binlog_format")
    @pytest.mark.not_on("oceanbase", because="OceanBase has no binlog_format of its own")
    async def test_a_statement_based_binary_log_is_named_as_the_reason(self, mysql_section: Section) -> None:
        async with open_database(_config(mysql_section), Path()) as database:
            with pytest.raises(DatabaseNotReady) as raised:
                await prepare_schema(database)
        assert str(raised.value).endswith(
            " takes no writes: its binlog_format is STATEMENT, which cannot log what READ COMMITTED writes."
            " Set binlog_format to ROW or MIXED."
        )


@pytest.mark.not_on("foreign", because="it creates a user")
async def test_a_user_who_may_not_write_is_named_as_the_reason(mysql_section: Section, mariadb: MariaDB) -> None:
    with mariadb.connect("root", "") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER reader IDENTIFIED BY 'secret'")
        cursor.execute(f"GRANT SELECT ON `{mysql_section['db']}`.* TO reader")
        async with open_database(
            _config(mysql_section | {"user": "reader", "password": "secret"}), Path()
        ) as database:
            with pytest.raises(DatabaseNotReady, match=r"its user may not write\. Grant SELECT, INSERT"):
                await prepare_schema(database)
        cursor.execute("DROP USER reader")
