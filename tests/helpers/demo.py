"""The 2018 demo as far as its database knew it: its tables, and the statements that its requests ran."""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

import pymysql

from .servers import MariaDB

TABLES: Final = """
CREATE TABLE `user` (
  `ID` int(11) unsigned NOT NULL AUTO_INCREMENT, `USER_ID` varchar(45) NOT NULL, `USER_NAME` varchar(45) NOT NULL,
  `SEX` varchar(2) NOT NULL, `CARD_NUM` varchar(45) NOT NULL, PRIMARY KEY (`ID`){user_key}
) ENGINE=InnoDB AUTO_INCREMENT=16 DEFAULT CHARSET=utf8;
CREATE TABLE `account` (
  `ID` int(11) unsigned NOT NULL AUTO_INCREMENT, `ACCOUNT_ID` varchar(45) NOT NULL,
  `ACCOUNT_TYPE` varchar(45) NOT NULL, `USER_ID` varchar(45) NOT NULL, `BALANCE` decimal(10,0) NOT NULL,
  PRIMARY KEY (`ID`){account_key}
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE `order` (
  `ID` int(11) unsigned NOT NULL AUTO_INCREMENT, `ORDER_ID` varchar(45) NOT NULL,
  `ORDER_TYPE` varchar(45) NOT NULL, `FROM_USER_ID` varchar(45) {nobody},
  `AMOUNT` decimal(10,0) NOT NULL, `TO_USER_ID` varchar(45) NOT NULL,
  PRIMARY KEY (`ID`){order_key}
) ENGINE=InnoDB DEFAULT CHARSET=utf8;
"""
KEYS: Final = {
    f"{name}_key": f", UNIQUE KEY `IDEX_{name.upper()}_ID` (`{name.upper()}_ID`)"
    for name in ("user", "account", "order")
}


class Demo:
    """The demo on a database of its own; an older version of it had no unique keys."""

    def __init__(self, mariadb: MariaDB, *, keys: bool = True, payer_of_recharge: str | None = None) -> None:
        self.database = mariadb.new_database()
        self._payer_of_recharge = payer_of_recharge
        self.connection = mariadb.connect(database=self.database)
        nobody = "DEFAULT NULL" if payer_of_recharge is None else "NOT NULL"
        for statement in TABLES.format(nobody=nobody, **(KEYS if keys else dict.fromkeys(KEYS, ""))).split(";"):
            if statement.strip():
                self.execute(statement)

    def execute(self, statement: str, *values: Any) -> int:
        """Return how many rows the statement found."""
        with self.connection.cursor() as cursor:
            return cursor.execute(statement, values or None)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def balances(self, account: str = "account") -> dict[str, Decimal]:
        return dict(self.rows(f"SELECT ACCOUNT_ID, BALANCE FROM {account}"))

    def request(self, path: str, fields: Mapping[str, str]) -> int | None:
        """Do what the demo did; return its result, or None where it answered 500."""
        handler = {"/openacc": self.open_account, "/recharge": self.recharge, "/transfer": self.transfer}[path]
        with suppress(KeyError, ArithmeticError, pymysql.err.MySQLError):
            return handler(fields)
        return None

    def open_account(self, fields: Mapping[str, str]) -> int:
        user = [fields[name] for name in ("userId", "userName", "sex", "cardNum")]
        account = [fields[name] for name in ("accountId", "accountType", "userId")]
        self.connection.begin()
        try:
            self.execute("INSERT INTO user (USER_ID, USER_NAME, SEX, CARD_NUM) VALUES (%s, %s, %s, %s)", *user)
            self.execute(
                "INSERT INTO account (ACCOUNT_ID, ACCOUNT_TYPE, USER_ID, BALANCE) VALUES (%s, %s, %s, 0)", *account
            )
        except pymysql.err.MySQLError:
            self.connection.rollback()
            return 0
        self.connection.commit()
        return 1

    def recharge(self, fields: Mapping[str, str]) -> int:
        amount, payee = Decimal(fields["amount"]), fields["userId"]
        self._move(fields["orderId"], "01", self._payer_of_recharge, amount, payee)
        return 1

    def transfer(self, fields: Mapping[str, str]) -> int:
        payer, payee = fields["fromuserId"], fields["touserId"]
        found = self._move(fields["orderId"], "02", payer, Decimal(fields["amount"]), payee)
        return 1 if found else 0

    def _move(self, order_id: str, order_type: str, payer: str | None, amount: Decimal, payee: str) -> int:
        """Return whether the payee was found; what was done is committed whether or not."""
        self.connection.begin()
        try:
            self.execute(
                "INSERT INTO `order` (ORDER_ID, ORDER_TYPE, FROM_USER_ID, AMOUNT, TO_USER_ID)"
                " VALUES (%s, %s, %s, %s, %s)",
                *(order_id, order_type, payer, amount, payee),
            )
            if order_type == "02":
                self.execute("UPDATE account SET BALANCE = BALANCE - %s WHERE USER_ID = %s", amount, payer)
            found = self.execute("UPDATE account SET BALANCE = BALANCE + %s WHERE USER_ID = %s", amount, payee)
        except pymysql.err.MySQLError:
            self.connection.rollback()
            raise
        self.connection.commit()
        return found
