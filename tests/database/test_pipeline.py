"""Pipelines: statements too large for one packet are divided, and truncated results are refused."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database
from myaccount.database.error_kinds import TooLarge
from myaccount.database.pipeline import PACKET_MARGIN_BYTES, _packets, _parse_values, _quoted, run_pipeline
from myaccount.database.statements import insert_rows
from myaccount.database.times import utc_now
from myaccount.journal.order_query import AskedOrder, order_queries
from myaccount.journal.settling import BATCH_LIMIT
from myaccount.journal.writer import Journal
from myaccount.ledger.account_commands import AddAccount, OpenAccount
from myaccount.ledger.changes import TRANSFER, Change
from myaccount.ledger.commands import AtomicBulk, Command
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Capture, Hold, OrderCommand, Refund, Transfer
from myaccount.ledger.outcomes import Outcome
from myaccount.model.inbox import inbox_mark
from myaccount.model.ledger import account, user
from myaccount.model.outbox import event
from myaccount.webhooks.payloads import request_bodies

from ..conftest import Client, Section, eventually
from ..helpers.actions import assert_books_balance, balance, open_users, send, transfer
from ..helpers.inboxes import read_inboxes
from ..helpers.servers import MariaDB


class TestPackets:
    LIMIT = 100 + PACKET_MARGIN_BYTES

    def test_statements_that_fit_are_one_packet(self) -> None:
        assert list(_packets(["a" * 10, "b" * 10], self.LIMIT)) == [f"{'a' * 10};{'b' * 10}"]

    def test_without_statements_there_is_no_packet(self) -> None:
        assert list(_packets([], self.LIMIT)) == []

    def test_other_statements_are_divided_into_packets(self) -> None:
        packets = list(_packets(["a" * 60, "b" * 39, "c" * 38, "é" * 29], self.LIMIT))
        assert packets == [f"{'a' * 60}", f"{'b' * 39};{'c' * 38}", "é" * 29]
        assert all(len(packet.encode()) < 100 for packet in packets)

    def test_a_statement_that_is_larger_than_a_packet_is_refused_before_it_is_sent(self) -> None:
        with pytest.raises(TooLarge, match="max_allowed_packet"):
            list(_packets(["a", "é" * 50], self.LIMIT))

    def test_rows_are_divided_so_that_their_statements_fit(self) -> None:
        statements = insert_rows("INSERT INTO t (a, b)", [("(%s,%s)", ["\U0001f4b0" * 45, "x" * 400])] * 60)
        assert sum(len(parameters) for _, parameters in statements) == 120
        assert len(statements) > 1
        assert all(len((words + str(parameters)).encode()) < 2**16 // 2 for words, parameters in statements)

    def test_a_large_row_has_a_statement_of_its_own(self) -> None:
        statements = insert_rows("INSERT INTO t (a)", [("(%s)", ["x" * 50_000])] * 2)
        assert [len(parameters) for _, parameters in statements] == [1, 1]


def test_a_callback_never_carries_more_changes_than_fit() -> None:
    longest = "\U0001f4b0" * 45
    changes = [Change(TRANSFER, longest, longest, longest, 1, 2**62, 2**62, None, 2**62, 2**62)] * BATCH_LIMIT
    bodies = [body for _, body in request_bodies(changes, utc_now(), {"shop": {TRANSFER}})]
    assert [len(json.loads(body)["data"]) for body in bodies] == [64] * 4
    # Escaped, as in a statement: with a backslash before each quote.
    assert all(len(body.replace('"', '\\"').encode()) < 2**16 - 1000 for body in bodies)


class TestValues:
    def test_complete_values_are_returned(self) -> None:
        assert _parse_values(2, "[[1],[2]]") == [[1], [2]]
        assert _parse_values(0, None) == _parse_values(0, "[]") == []

    @pytest.mark.parametrize("cut", ['[[1],[2,"u', "[[1]]", "[[1],]", "[]", None])
    def test_truncated_values_are_refused(self, cut: str | None) -> None:
        with pytest.raises(TooLarge, match="of 2 values"):
            _parse_values(2, cut)


@contextmanager
def _globally(mariadb: MariaDB, variable: str, value: int) -> Iterator[None]:
    """Set the variable for new sessions."""
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT @@GLOBAL.{variable}")
        (before,) = cursor.fetchone() or (0,)
        cursor.execute(f"SET GLOBAL {variable} = {value}")
        yield
        cursor.execute(f"SET GLOBAL {variable} = {before}")


async def _events_are_delivered(database: Database) -> None:
    async def none_waits() -> bool:
        return not await database.read(lambda c: c.scalar(select(func.count()).select_from(event)))

    await eventually(none_waits, 60)


PARAMETERS = [
    "",
    "".join(map(chr, range(1, 0x250))),
    "张三 \U0001f4b0 \u2028",
    "\\",
    "\\'",
    "''",
    "'); DROP TABLE account; --",
    '\\"%s%%',
    "\\0\\Z\\%\\_",
    0,
    -(2**63),
    2**63 - 1,
    None,
]


async def test_a_parameter_is_whatever_it_contains(database: Database) -> None:
    # Without a name, OceanBase would name the column by its expression, cut at 255 bytes: within a character here.
    statement = f"SELECT {len(PARAMETERS)}, JSON_ARRAY({','.join(['%s'] * len(PARAMETERS))}) AS found"
    found = await database.read(lambda connection: run_pipeline(connection, (statement, PARAMETERS)))
    assert found == [PARAMETERS]
    each = [("SELECT 1, JSON_ARRAY(%s) AS found", [parameter]) for parameter in PARAMETERS]
    assert await database.read(lambda connection: run_pipeline(connection, *each)) == [[p] for p in PARAMETERS]


def test_a_parameter_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="float"):
        _quoted(1.5)
    assert (_quoted(True), _quoted(False)) == ("1", "0")


@pytest.mark.parametrize("variable", [("group_concat_max_len", 32), ("group_concat_max_len", 1024)], ids=str)
class TestAServerThatCutsAggregates:
    @pytest.fixture
    def backend(self, mysql_section: Section, mariadb: MariaDB, variable: tuple[str, int]) -> Iterator[Section]:
        with _globally(mariadb, *variable):
            yield {"mysql": mysql_section}

    async def test_all_users_are_found_and_all_messages_delivered(
        self, client: Client, database: Database
    ) -> None:
        names = [f"user-with-a-long-id-{n}" for n in range(12)]
        await open_users(client, *names)
        await asyncio.gather(
            *[send(client, "/recharge", orderId=f"r-{name}", userId=name, amount="10") for name in names]
        )
        payments = [transfer(client, f"t-{n}", names[n], names[n - 1], "1") for n in range(12)]
        assert set(await asyncio.gather(*payments)) == {(200, "posted", False)}
        assert set(await asyncio.gather(*[balance(client, name) for name in names])) == {"10.00"}
        await _events_are_delivered(database)
        assert len(await read_inboxes(database)) == 12 * 4
        await assert_books_balance(database)


def _longest(name: str, number: int) -> str:
    return f"{name}{number}".ljust(45, "\U0001f4b0")


USERS = [_longest("u", n) for n in range(600)]
NOTE = "\U0001f4b0" * 200
CENT = Amount(1, 2)


class TestAServerThatTakesSmallPackets:
    @pytest.fixture
    def backend(self, mysql_section: Section, mariadb: MariaDB) -> Iterator[Section]:
        with _globally(mariadb, "max_allowed_packet", 2**16):
            yield {"mysql": mysql_section}

    @pytest.fixture
    async def journal(self, client: Client, database: Database) -> AsyncIterator[Journal]:
        """With USERS, each of whom may owe a thousand."""
        now = utc_now()
        users = [
            {"user_id": name, "user_name": name, "sex": "F", "card_num": "62", "created_at": now} for name in USERS
        ]
        accounts = [
            {
                "account_id": name, "account_type": "01", "user_id": name, "currency": "CNY", "balance": 0,
                "floor": -1000, "created_at": now,
            }
            for name in USERS
        ]  # fmt: skip

        async def work(connection: AsyncConnection) -> None:
            for start in range(0, len(USERS), 50):
                await connection.execute(insert(user), users[start : start + 50])
                await connection.execute(insert(account), accounts[start : start + 50])
            welcomed = select(account.c.id, account.c.last_entry).where(account.c.user_id.is_not(None))
            await connection.execute(insert(inbox_mark).from_select(["account", "number"], welcomed))

        await database.write(work)
        async with Journal(database, lambda event_id: None) as journal:
            yield journal

    async def test_a_batch_of_the_longest_orders_is_posted(self, journal: Journal, database: Database) -> None:
        orders = [
            Transfer(_longest("t", n), USERS[n], USERS[-n - 1], Amount(1, 2), note=NOTE)
            for n in range(BATCH_LIMIT)
        ]
        for replayed in (False, True):
            outcomes = await asyncio.gather(*map(journal.submit, orders))
            assert outcomes == [Outcome(replayed=replayed)] * BATCH_LIMIT
        for parties in ([None] * BATCH_LIMIT, USERS):
            asked = [AskedOrder(order.order_id, party) for order, party in zip(orders, parties, strict=False)]
            found = await asyncio.gather(*map(order_queries(database).fetch, asked))
            assert [described and (described.order_id, described.note) for described in found] == [
                (order.order_id, NOTE) for order in orders
            ]
        await self._all_is_delivered(database, 2 * BATCH_LIMIT)

    async def test_one_command_of_a_thousand_of_the_longest_orders_is_posted(
        self, journal: Journal, database: Database
    ) -> None:
        pairs = [*pairwise(USERS), *pairwise(USERS)]
        given: list[OrderCommand] = [
            *[Transfer(_longest("t", n), *pairs[n], CENT, note=NOTE) for n in range(700)],
            *[Hold(_longest("h", n), *pairs[n], CENT, note=NOTE) for n in range(300)],
        ]
        taken: list[OrderCommand] = [
            *[Refund(_longest("r", n), _longest("t", n), note=NOTE) for n in range(700)],
            *[Capture(_longest("c", n), _longest("h", n), note=NOTE) for n in range(300)],
        ]
        for bulk in (AtomicBulk("given", tuple(given)), AtomicBulk("taken", tuple(taken))):
            for replayed in (False, True):
                outcome = await journal.submit(bulk)
                assert (outcome.error, outcome.replayed, len(outcome.parts)) == (None, replayed, 1000)
        await self._all_is_delivered(database, 2 * 700 + 300 + 2 * 700 + 2 * 300)

    async def test_a_batch_of_the_longest_openings_is_made(self, journal: Journal, database: Database) -> None:
        long = [_longest("m", n) for n in range(BATCH_LIMIT)]
        for replayed in (False, True):
            now, sex = utc_now(), "\U0001f4b0" * 2
            openings = [OpenAccount(name, name, sex, name, name, name, sent_at=now) for name in long[::2]]
            pairs = zip(long[::2], long[1::2], strict=True)
            added = [AddAccount(user_id, name, name, sent_at=utc_now()) for user_id, name in pairs]
            commands: list[Command] = [*openings, *added]
            outcomes = await asyncio.gather(*map(journal.submit, commands))
            assert {outcome.replayed for outcome in outcomes} == {replayed}
        await self._all_is_delivered(database, BATCH_LIMIT)

    async def test_many_expired_holds_of_one_account_are_ended(self, journal: Journal, database: Database) -> None:
        payer, payee, *_ = USERS
        at_once = timedelta(microseconds=1)
        holds = tuple(Hold(_longest("h", n), payer, payee, CENT, at_once) for n in range(300))
        assert (await journal.submit(AtomicBulk("b", holds))).error is None
        # All that the payer may owe: nothing of it is held any more.
        assert (await journal.submit(Transfer("t", payer, payee, Amount(1000, 2)))).error is None
        await self._all_is_delivered(database, 300 + 300 + 2)

    @pytest.mark.not_on("oceanbase", because="its answers may be larger than its max_allowed_packet")
    async def test_only_a_user_whose_accounts_do_not_fit_an_answer_is_refused(
        self, journal: Journal, client: Client
    ) -> None:
        rich, other, *_ = USERS
        added = [AddAccount(rich, _longest("a", n), "01", sent_at=utc_now()) for n in range(200)]
        await asyncio.gather(*map(journal.submit, added))
        refused, answered = await asyncio.gather(
            *[send(client, "/queryacc", userId=user_id) for user_id in (rich, other)]
        )
        assert (refused[0], refused[1]["code"]) == (503, "unavailable")
        assert answered[0] == 200

    async def _all_is_delivered(self, database: Database, messages: int) -> None:
        await _events_are_delivered(database)
        assert len(await read_inboxes(database)) == messages
        await assert_books_balance(database)
