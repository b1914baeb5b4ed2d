"""Entry numbers of an account, by which receivers put its changes in order."""

import asyncio
import shutil
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from myaccount.appkeys import database_key
from myaccount.ledger.changes import Change
from myaccount.main import create_app
from myaccount.migrations import runner as migrations
from myaccount.model.ledger import account
from myaccount.settings.schema import Config
from myaccount.webhooks.payloads import request_bodies

from ..conftest import ClientOf, Server, eventually
from ..helpers import migrating
from ..helpers.actions import open_users, send
from ..helpers.migrating import both, migrate, run
from ..helpers.receivers import Receiver, Receiving

migrating_config, engine, file = migrating.config, migrating.engine, migrating.file


def _entries(receiver: Receiver) -> dict[str, dict[int, str]]:
    """Return, by user and entry number, the balance that the callbacks report. Repeated changes count once."""
    entries: dict[str, dict[int, str]] = defaultdict(dict)
    changes = {c["orderId"]: c for call in receiver.calls for c in call.changes if "orderId" in c}
    for change in changes.values():
        sides = []
        if change["type"] == "recharge":
            sides = [("userId", "entry", "balance")]
        elif change["type"] == "transfer":
            sides = [("fromuserId", "fromEntry", "fromBalance"), ("touserId", "toEntry", "toBalance")]
        for user, entry, balance in sides:
            assert change[entry] not in entries[change[user]]
            entries[change[user]][change[entry]] = change[balance]
    return entries


class TestNumbers:
    @pytest.fixture
    def config(self, config: Config, receiver: Receiving) -> Config:
        config["callbacks"] = [
            {"url": receiver.url, "events": ["recharge", "transfer", "decline"], "timeout_seconds": 5,
             "trust_env": False}
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
            await eventually(lambda: receiver.receiver.received().total() == 40)
            rows = await app[database_key].read(lambda c: c.execute(select(account)))
            last = {row.user_id: row for row in rows}
        entries = _entries(receiver.receiver)
        for user in ("u1", "u2"):
            numbers = sorted(entries[user])
            assert numbers == list(range(1, last[user].last_entry + 1))
            assert float(entries[user][numbers[-1]]) * 100 == last[user].balance
            steps = [float(entries[user][n]) - float(entries[user].get(n - 1, "0")) for n in numbers]
            assert set(steps) <= {1, -2, 2}
        assert last[None].last_entry == 20
        assert len(entries["u1"]) == 20 + len(entries["u2"])


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
        self, config: Config, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now, before = migrations.MIGRATIONS, tmp_path / "before"
        shutil.copytree(now, before, ignore=shutil.ignore_patterns("0002*", "__pycache__"))
        monkeypatch.setattr(migrations, "MIGRATIONS", before)
        await migrate(config)
        run(engine, *ROWS)
        monkeypatch.setattr(migrations, "MIGRATIONS", now)
        if "mysql" in config:
            # As if the migration had been interrupted after its first statement.
            run(engine, "ALTER TABLE account ADD COLUMN last_entry BIGINT NOT NULL DEFAULT 0")
        await migrate(config)
        with engine.connect() as connection:
            found = connection.execute(text("SELECT id, balance, last_entry FROM account ORDER BY id")).all()
        assert [tuple(row) for row in found] == [(1, -7, 1), (2, 5, 2), (3, 2, 1)]
