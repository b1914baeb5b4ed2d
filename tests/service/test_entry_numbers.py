"""Entry numbers of an account, by which receivers put its changes in order."""

import asyncio
from collections import defaultdict
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from myaccount.appkeys import database_key
from myaccount.ledger.changes import CHANGE_TYPES, Change
from myaccount.main import create_app
from myaccount.model.ledger import account
from myaccount.settings.schema import Config
from myaccount.webhooks.payloads import request_bodies

from ..conftest import ClientOf, Server, eventually
from ..helpers import migrating
from ..helpers.actions import open_users, send
from ..helpers.every_change import CALLBACKS, request_every_change
from ..helpers.migrating import both, migrate, migrate_to, run
from ..helpers.receivers import Receiver, Receiving, source_of

migrating_config, engine, file = migrating.config, migrating.engine, migrating.file


# The changes that make entries, and the names of an account, its last entry and its balance.
MOVES = ("recharge", "transfer", "withdraw", "refund", "capture")
SIDES = (
    ("accountId", "entry", "balance"),
    ("fromaccountId", "fromEntry", "fromBalance"),
    ("toaccountId", "toEntry", "toBalance"),
)


def _entries(receiver: Receiver) -> dict[str, dict[int, str]]:
    """Return, by account and entry number, the balance that the callbacks report. Repeated changes count once.

    A change that moves no money has the number and the balance of an entry that another change made.
    """
    entries: dict[str, dict[int, str]] = defaultdict(dict)
    changes = {(c["type"], source_of(c)): c for call in receiver.calls for c in call.changes}
    for is_move in (True, False):
        for change in changes.values():
            if (change["type"] in MOVES) != is_move:
                continue
            for account_id, entry, balance in SIDES:
                if balance in change:
                    of_account = entries[change[account_id]]
                    assert (change[entry] not in of_account) == is_move or change[entry] == 0
                    assert of_account.setdefault(change[entry], change[balance]) == change[balance]
    return entries


class TestNumbers:
    @pytest.fixture
    def config(self, config: Config, receiver: Receiving) -> Config:
        config["callbacks"] = [
            {"url": receiver.url, "events": list(CHANGE_TYPES), "timeout_seconds": 5, "trust_env": False}
        ]  # fmt: skip
        return config

    async def test_the_entries_of_an_account_are_numbered_without_a_gap_in_the_order_of_its_balances(
        self, config: Config, receiver: Receiving
    ) -> None:
        """Also if two processes post the orders, and callbacks arrive in any order."""
        app = create_app(config)
        async with Server(app) as one, Server(create_app(config)) as two:
            async with ClientOf(one) as first, ClientOf(two) as second:
                await open_users(first, "u1", "u2")
                recharges = [
                    send(client, "/recharge", orderId=f"r{n}", userId="u1", amount="1")
                    for n, client in enumerate([first, second] * 10)
                ]
                transfers = [
                    send(client, "/transfer", orderId=f"t{n}", fromuserId="u1", touserId="u2", amount="2")
                    for n, client in enumerate([second, first] * 10)
                ]
                await asyncio.gather(*recharges, *transfers)
            await eventually(lambda: receiver.receiver.received().total() == 42)
            rows = await app[database_key].read(lambda c: c.execute(select(account)))
            last = {row.user_id: row for row in rows}
        entries = _entries(receiver.receiver)
        for user, account_id in (("u1", "a-u1"), ("u2", "a-u2")):
            balances = {0: "0.00"} | entries[account_id]
            assert sorted(balances) == list(range(last[user].last_entry + 1))
            assert float(balances[last[user].last_entry]) * 100 == last[user].balance
            steps = [float(balances[n]) - float(balances[n - 1]) for n in range(1, len(balances))]
            assert set(steps) <= {1, -2, 2}
        assert last[None].last_entry == 20
        assert last["u1"].last_entry == 20 + last["u2"].last_entry

    async def test_each_kind_of_order_is_numbered_in_the_accounts_whose_money_it_moves(
        self, config: Config, receiver: Receiving
    ) -> None:
        async with Server(create_app(config)) as server, ClientOf(server) as client:
            await request_every_change(client)
            await eventually(lambda: receiver.receiver.received().total() == len(CALLBACKS))
        entries = _entries(receiver.receiver)
        assert {account_id: sorted(of_account) for account_id, of_account in entries.items()} == {
            "a1": [1, 2, 3, 4, 5, 6, 7, 8], "a2": [1, 2, 3], "yen": [1], "spare": [0],
        }  # fmt: skip


def test_an_event_of_an_earlier_version_has_no_numbers() -> None:
    change = Change(*["recharge", "r", "", "u1", 100, -100, 100, None])  # type: ignore[arg-type]
    ((_, body),) = request_bodies([change], datetime(2026, 1, 1), {"shop": ["recharge"]})
    assert "ntry" not in body


ROWS = (
    "INSERT INTO user (id, user_id, user_name, sex, card_num, created_at)"
    " VALUES (1, 'u1', 'N', 'F', '6', '2026-01-01'), (2, 'u2', 'N', 'F', '6', '2026-01-01')",
    "INSERT INTO account (id, account_id, account_type, user_id, currency, balance, floor, created_at)"
    " VALUES (2, 'a1', '01', 'u1', 'CNY', 5, 0, '2026-01-01'), (3, 'a2', '01', 'u2', 'CNY', 2, 0, '2026-01-01')",
    "UPDATE account SET balance = -7 WHERE id = 1",
    "INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, from_balance, to_balance,"
    " status, reason, created_at) VALUES"
    " ('r1', '01', 1, 2, 7, -7, 7, 'posted', NULL, '2026-01-01'),"
    " ('t1', '02', 2, 3, 2, 5, 2, 'posted', NULL, '2026-01-01'),"
    " ('t2', '02', 2, 3, 99, 5, 2, 'declined', 'insufficient_funds', '2026-01-01')",
)


class TestMigration:
    @pytest.fixture
    def backend(self, request: pytest.FixtureRequest, mysql_section: Any, mariadb: Any) -> Any:
        return {} if request.param == "sqlite" else {"mysql": mysql_section | {"db": mariadb.new_database()}}

    @pytest.fixture
    def config(self, migrating_config: Config) -> Config:
        return migrating_config

    @both
    async def test_the_migration_numbers_the_orders_of_the_version_before(
        self, config: Config, engine: Engine
    ) -> None:
        await migrate_to(config, "0001")
        run(engine, *ROWS)
        if "mysql" in config:
            # As if the migration had been interrupted after its first statement.
            run(engine, "ALTER TABLE account ADD COLUMN last_entry BIGINT NOT NULL DEFAULT 0")
        await migrate(config)
        with engine.connect() as connection:
            found = connection.execute(text("SELECT id, balance, last_entry FROM account ORDER BY id")).all()
        assert [tuple(row) for row in found] == [(1, -7, 1), (2, 5, 2), (3, 2, 1)]
