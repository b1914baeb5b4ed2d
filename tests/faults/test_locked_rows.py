"""A row that another transaction holds delays only the orders that want it (promise 9)."""

import asyncio
import signal
from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.error import HTTPError

import pytest
from sqlalchemy import select, update

from myaccount.appkeys import journal_key
from myaccount.database.database import Database
from myaccount.database.freshness import SKIPS_LOCKED
from myaccount.database.statements import Bound
from myaccount.database.times import utc_now
from myaccount.journal import blocked as blocked_module
from myaccount.journal import lock_wait as lock_wait_module
from myaccount.journal import posting as posting_module
from myaccount.journal.lock_wait import LEAST_MILLISECONDS, MOST_MILLISECONDS, LockWait
from myaccount.journal.mysql_batch import MysqlBatch
from myaccount.journal.posting import Posted, Poster
from myaccount.ledger.commands import Command
from myaccount.model.ledger import hold

from ..conftest import Client, Section, eventually
from ..helpers.actions import assert_books_balance, balance, open_users, send, transfer
from ..helpers.failpoints import STOPPED
from ..helpers.holding import Holding
from ..helpers.services import Start

POSTED = (200, "posted", False)


@pytest.fixture
def backend(mysql_section: Section) -> Section:
    return {"mysql": mysql_section}


@pytest.fixture
async def users(client: Client) -> Client:
    await open_users(client, "u1", "u2", "u3")
    for user in ("u1", "u2", "u3"):
        assert (await send(client, "/recharge", orderId=f"r-{user}", userId=user, amount="100"))[0] == 200
    return client


@pytest.fixture
def no_short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a statement take long, as on a machine that stands still: only the lock's own timeout ends it."""
    for name in ("LEAST_MILLISECONDS", "MOST_MILLISECONDS"):
        monkeypatch.setattr(lock_wait_module, name, 30_000)


def _account_of(user: str) -> str:
    return f"SELECT id FROM account WHERE user_id = '{user}' FOR UPDATE"


async def test_only_orders_that_want_the_locked_row_wait(
    users: Client, holding: Holding, database: Database
) -> None:
    async with holding(_account_of("u3")):
        waiting = [asyncio.ensure_future(transfer(users, f"b{n}", "u1", "u3", "1")) for n in range(3)]
        waiting.append(asyncio.ensure_future(transfer(users, "b3", "u3", "u2", "1")))
        for n in range(10):
            assert await transfer(users, f"t{n}", "u1", "u2", "1") == POSTED
        assert not any(order.done() for order in waiting)
    assert await asyncio.gather(*waiting) == [POSTED] * 4
    assert [await balance(users, user) for user in ("u1", "u2", "u3")] == ["87.00", "111.00", "102.00"]
    await assert_books_balance(database)


async def test_the_free_orders_of_a_batch_are_posted(users: Client, holding: Holding) -> None:
    async with holding(_account_of("u3")):
        orders = {
            n: asyncio.ensure_future(transfer(users, f"t{n}", "u1", "u3" if n % 4 == 0 else "u2", "1"))
            for n in range(20)
        }
        free = [order for n, order in orders.items() if n % 4]
        assert await asyncio.gather(*free) == [POSTED] * 15
        assert not any(order.done() for n, order in orders.items() if n % 4 == 0)
    assert await asyncio.gather(*orders.values()) == [POSTED] * 20


async def test_a_replay_does_not_wait(users: Client, holding: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting_module, "LOOK_UP_SECONDS", 3600)
    assert (await send(users, "/recharge", orderId="r-u1", userId="u1", amount="100"))[2]
    async with holding(_account_of("u3")):
        status, _, replayed = await send(users, "/recharge", orderId="r-u3", userId="u3", amount="100")
    assert (status, replayed) == (200, True)


async def test_the_sweeper_ends_the_holds_of_the_other_accounts(
    users: Client, holding: Holding, database: Database
) -> None:
    async def stored(order_id: str) -> str | None:
        status = select(hold.c.status).where(hold.c.order_id == order_id)
        return await database.read(lambda connection: connection.scalar(status))

    async def ended(order_id: str) -> bool:
        return await stored(order_id) == "expired"

    for user in ("u3", "u1"):
        fields = {"orderId": f"h-{user}", "fromuserId": user, "amount": "1", "expiresIn": "3600"}
        assert (await send(users, "/hold", **fields))[0] == 200
    async with holding(_account_of("u3")):
        # Not before the row is locked, or the sweeper could end both.
        over = update(hold).values(expires_at=utc_now(), due_at=utc_now())
        await database.write(lambda connection: connection.execute(over))
        await eventually(lambda: ended("h-u1"))
        assert await stored("h-u3") == "held"
    await eventually(lambda: ended("h-u3"))
    await assert_books_balance(database)


async def test_the_orders_of_a_bulk_keep_their_order_behind_a_locked_row(users: Client, holding: Holding) -> None:
    """The second order touches no locked row, but it would be declined before the first."""
    orders = [
        {"type": "transfer", "orderId": "b1", "fromuserId": "u3", "touserId": "u1", "amount": "100"},
        {"type": "transfer", "orderId": "b2", "fromuserId": "u1", "touserId": "u2", "amount": "150"},
        {"type": "capture", "orderId": "b4", "holdOrderId": "b3"},
    ]
    orders.insert(2, {"type": "hold", "orderId": "b3", "fromuserId": "u3", "amount": "0.01"})

    async def bulk() -> dict[str, object]:
        async with users.post("/bulk", json={"bulkId": "b", "orders": orders}) as response:
            body: dict[str, object] = await response.json()
            return body

    async with holding(_account_of("u3")):
        waiting = asyncio.ensure_future(bulk())
        for n in range(5):
            assert await transfer(users, f"t{n}", "u2", "u1", "0.01") == POSTED
        assert not waiting.done()
    codes = [row["CODE"] for row in (await waiting)["ORDERS"]]  # type: ignore[attr-defined]
    assert codes == [None, None, "insufficient_funds", "not_a_hold"]


async def test_while_the_outside_account_is_locked_transfers_go_on(users: Client, holding: Holding) -> None:
    async with holding("SELECT id FROM account WHERE id = 1 FOR UPDATE"):
        recharge = asyncio.ensure_future(send(users, "/recharge", orderId="r1", userId="u1", amount="1"))
        for n in range(5):
            assert await transfer(users, f"t{n}", "u1", "u2", "1") == POSTED
        assert not recharge.done()
    assert (await recharge)[0] == 200


async def test_a_batch_waits_for_a_locked_row_once(
    users: Client, holding: Holding, no_short_waits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later orders for the row are blocked at once, so that the others are as fast as before."""
    # No retry waits, however long the test takes.
    monkeypatch.setattr(blocked_module, "TRIES_PER_WAIT", 1_000_000)
    given_up = 0
    original = MysqlBatch.rollback

    async def rollback(self: MysqlBatch) -> None:
        nonlocal given_up
        given_up += 1
        await original(self)

    monkeypatch.setattr(MysqlBatch, "rollback", rollback)
    async with holding(_account_of("u3")):
        waiting = [asyncio.ensure_future(transfer(users, "b0", "u1", "u3", "1"))]
        await eventually(lambda: given_up == 1)
        for n in range(1, 10):
            waiting.append(asyncio.ensure_future(transfer(users, f"b{n}", "u1", "u3", "1")))
            assert await transfer(users, f"t{n}", "u1", "u2", "1") == POSTED
        assert given_up == 1
    assert await asyncio.gather(*waiting) == [POSTED] * 10
    assert given_up == 1


async def test_an_order_that_waited_too_long_is_refused_and_can_be_sent_again(
    users: Client, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked_module, "WAIT_SECONDS", 0.1)
    async with holding(_account_of("u3")):
        refused, posted = await asyncio.gather(
            transfer(users, "b1", "u1", "u3", "1"), transfer(users, "t1", "u1", "u2", "1")
        )
        assert (refused[:2], posted) == ((503, "unavailable"), POSTED)
    assert await transfer(users, "b1", "u1", "u3", "1") == POSTED


async def test_many_orders_for_a_locked_row_do_not_crowd_out_others(
    users: Client, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocked_module, "BLOCKED_LIMIT", 2)
    async with holding(_account_of("u3")):
        waiting = [asyncio.ensure_future(transfer(users, f"b{n}", "u1", "u3", "1")) for n in range(5)]
        await eventually(lambda: sum(order.done() for order in waiting) == 3)
        assert {order.result()[:2] for order in waiting if order.done()} == {(503, "overloaded")}
        # They do not count while they are tried again.
        await eventually(lambda: users.app[journal_key].waiting == 2)
        assert not users.app[journal_key].full
        assert await transfer(users, "t1", "u1", "u2", "1") == POSTED
    assert sorted(status for status, _, _ in await asyncio.gather(*waiting)) == [200, 200, 503, 503, 503]


async def test_a_journal_that_closes_waits_for_its_blocked_orders(users: Client, holding: Holding) -> None:
    journal = users.app[journal_key]
    async with holding(_account_of("u3")):
        waiting = asyncio.ensure_future(transfer(users, "b1", "u1", "u3", "1"))
        await eventually(lambda: len(journal._blocked) == 1)
        closing = asyncio.ensure_future(journal.__aexit__())
        await asyncio.sleep(0)
    assert await waiting == POSTED
    await closing


async def test_an_order_id_in_an_open_transaction_elsewhere_refuses_only_that_order(
    users: Client, holding: Holding
) -> None:
    insert = (
        "INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, status, created_at)"
        " VALUES ('t1', '02', 1, 1, 1, 'posted', NOW())"
    )
    async with holding(insert):
        answers = await asyncio.gather(*[transfer(users, f"t{n}", "u1", "u2", "1") for n in range(4)])
    assert [answer[:2] for answer in answers] == [
        (200, "posted"),
        (503, "unavailable"),
        (200, "posted"),
        (200, "posted"),
    ]
    assert await transfer(users, "t1", "u1", "u2", "1") == POSTED


async def test_orders_that_cannot_be_inserted_are_refused_within_the_timeout(
    users: Client, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session at REPEATABLE READ holds the end of the index, so that no order can be inserted."""
    monkeypatch.setattr(blocked_module, "WAIT_SECONDS", 0.5)
    posts = 0
    original = Poster.post

    async def post(self: Poster, commands: Sequence[Command], *, wait: bool = True) -> Posted:
        nonlocal posts
        posts += 1
        return await original(self, commands, wait=wait)

    monkeypatch.setattr(Poster, "post", post)
    async with holding("SELECT id FROM `order` ORDER BY id DESC LIMIT 1 FOR UPDATE"):
        answers = await asyncio.gather(*[transfer(users, f"t{n}", "u1", "u2", "1") for n in range(40)])
    assert {answer[:2] for answer in answers} == {(503, "unavailable")}
    # They are not tried one by one: after the first, the others have waited too long.
    assert posts < 10
    assert await transfer(users, "t0", "u1", "u2", "1") == POSTED


async def test_on_a_server_that_does_not_skip_locked_rows_an_order_is_tried_alone(
    users: Client, holding: Holding, no_short_waits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On TiDB, SKIP LOCKED locks nothing, so its rows must not be used."""
    journal = users.app[journal_key]
    statements: list[str] = []
    original = MysqlBatch._lock_accounts

    def lock_accounts(self: MysqlBatch, keys: Collection[int], wait_milliseconds: int | None) -> Bound:
        self._info[SKIPS_LOCKED] = False  # type: ignore[index]
        statement = original(self, keys, wait_milliseconds)
        statements.append(statement[0])
        return statement

    monkeypatch.setattr(MysqlBatch, "_lock_accounts", lock_accounts)
    async with holding(_account_of("u3")):
        orders = [transfer(users, f"t{n}", "u1", "u3" if n == 2 else "u2", "1") for n in range(5)]
        answers = await asyncio.gather(*orders)
    assert [answer[:2] for answer in answers] == [
        (503, "unavailable") if n == 2 else (200, "posted") for n in range(5)
    ]
    # Without a limit, it would wait again, as long as for any other row.
    assert all("max_statement_time" in statement for statement in statements)
    assert not any("SKIP LOCKED" in statement for statement in statements)
    assert journal.waiting == 0


async def test_one_retry_in_so_many_waits_for_the_lock(
    users: Client, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would never get a row for which batches of other processes queue."""
    tries: list[bool] = []
    original = Poster.post

    async def post(self: Poster, commands: Sequence[Command], *, wait: bool = True) -> Posted:
        tries.append(wait)
        return await original(self, commands, wait=wait)

    monkeypatch.setattr(Poster, "post", post)
    async with holding(_account_of("u3")):
        blocked = asyncio.ensure_future(transfer(users, "b1", "u1", "u3", "1"))
        await eventually(lambda: len(tries) > 2 * blocked_module.TRIES_PER_WAIT + 1)
    assert await blocked == POSTED
    queued = [n for n, wait in enumerate(tries) if wait]
    assert queued[:3] == [0, blocked_module.TRIES_PER_WAIT, 2 * blocked_module.TRIES_PER_WAIT]


def _noted(wait: LockWait, seconds: float, times: int = 50) -> int:
    for _ in range(times):
        wait.note(seconds, got=["u1"], locked=[])
    return wait.milliseconds


def test_the_longest_wait_follows_the_usual_one() -> None:
    wait = LockWait()
    assert wait.milliseconds == LEAST_MILLISECONDS
    assert _noted(wait, 0.002) == LEAST_MILLISECONDS
    assert 150 < _noted(wait, 0.05) <= 200
    assert _noted(wait, 5) == MOST_MILLISECONDS
    assert _noted(wait, 0.002) == LEAST_MILLISECONDS


def test_a_row_that_stays_locked_does_not_make_batches_wait_longer() -> None:
    wait = LockWait()
    for _ in range(50):
        wait.note(wait.milliseconds / 1000, got=["u1"], locked=["u3"])
        _noted(wait, 0.002, times=1)
    assert wait.milliseconds == LEAST_MILLISECONDS
    # The other side: batches that hold a hot row for long are waited for.
    for _ in range(50):
        wait.note(wait.milliseconds / 1000, got=["u1"], locked=["u3"])
        wait.note(wait.milliseconds / 1000, got=["u3"], locked=[])
    assert wait.milliseconds > 2 * LEAST_MILLISECONDS


async def test_a_process_that_is_stopped_before_its_commit_delays_only_its_accounts_and_not_for_long(
    users: Client, start: Start, mysql_section: Section, database: Database
) -> None:
    """It holds the locks of its batch until the database closes its silent connection."""
    command = ("tests/helpers/failpoints.py", STOPPED, "1")
    stopped = await asyncio.to_thread(start, "python3", *command, mysql=mysql_section)
    its_own = asyncio.ensure_future(
        asyncio.to_thread(stopped.post, "/recharge", orderId="s1", userId="u3", amount="1")
    )
    await eventually(lambda: _is_stopped(stopped.process.pid))
    try:
        assert await transfer(users, "t1", "u1", "u2", "1") == POSTED

        async def recharged() -> bool:
            return (await send(users, "/recharge", orderId="r1", userId="u1", amount="1"))[0] == 200

        await eventually(recharged)
    finally:
        stopped.process.send_signal(signal.SIGCONT)
    # It does not know whether its order was committed. Sending it again tells.
    with pytest.raises(HTTPError, match="503"):
        await its_own
    assert (await send(users, "/recharge", orderId="s1", userId="u3", amount="1"))[0] == 200
    assert [await balance(users, user) for user in ("u1", "u2", "u3")] == ["100.00", "101.00", "101.00"]
    await assert_books_balance(database)


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "T"
