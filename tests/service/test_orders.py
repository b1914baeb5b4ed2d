"""Orders through the service, on both backends."""

import asyncio

import pytest
from sqlalchemy import select, update

from myaccount.database.database import Database
from myaccount.journal import order_query
from myaccount.journal.order_query import AskedOrder, order_queries
from myaccount.model.ledger import EXTERNAL_ACCOUNT, account, entry

from ..conftest import Client
from ..helpers.actions import balance, open_users, send, transfer
from ..helpers.counted_reads import CountedReads
from ..helpers.wallets import post, query_order


async def test_a_recharge_and_a_transfer_move_money_and_can_be_queried(client: Client) -> None:
    await open_users(client, "u1", "u2")
    assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="100"))[0] == 200
    assert await transfer(client, "t1", "u1", "u2", "30.25") == (200, "posted", False)
    assert (await balance(client, "u1"), await balance(client, "u2")) == ("69.75", "30.25")

    _, described, _ = await send(client, "/querorder", orderId="t1")
    time = described.pop("CREATE_TIME")
    # What else it tells is in test_refunds.py.
    assert described | {
        "ORDER_ID": "t1", "ORDER_TYPE": "02", "FROM_USER_ID": "u1", "TO_USER_ID": "u2", "AMOUNT": "30.25",
        "CURRENCY": "CNY", "STATUS": "posted", "REASON": None, "FROM_ACCOUNT_ID": "a-u1", "TO_ACCOUNT_ID": "a-u2",
    } == described  # fmt: skip
    assert time.endswith("Z")
    assert len(time) == len("2026-11-21T10:00:00.000000Z")


async def test_a_decline_is_recorded_and_replayed_even_if_the_balance_suffices_later(client: Client) -> None:
    await open_users(client, "u1", "u2")
    assert await transfer(client, "t1", "u1", "u2", "5") == (409, "insufficient_funds", False)
    await send(client, "/recharge", orderId="r1", userId="u1", amount="100")
    assert await transfer(client, "t1", "u1", "u2", "5") == (409, "insufficient_funds", True)
    assert await transfer(client, "t2", "u1", "u2", "5") == (200, "posted", False)
    _, described, _ = await send(client, "/querorder", orderId="t1")
    assert (described["STATUS"], described["REASON"]) == ("declined", "insufficient_funds")
    assert await balance(client, "u1") == "95.00"


async def test_an_order_id_with_other_content_is_a_mismatch_and_moves_nothing(client: Client) -> None:
    await open_users(client, "u1", "u2", "u3")
    await send(client, "/recharge", orderId="r1", userId="u1", amount="100")
    await transfer(client, "t1", "u1", "u2", "5")
    for payer, payee, amount in [
        ("u1", "u2", "6"),
        ("u1", "u3", "5"),
        ("u2", "u1", "5"),
        ("u1", "nobody", "5"),
    ]:
        assert await transfer(client, "t1", payer, payee, amount) == (422, "order_mismatch", False)
    assert (await send(client, "/recharge", orderId="t1", userId="u2", amount="5"))[0] == 422
    assert (await balance(client, "u1"), await balance(client, "u2")) == ("95.00", "5.00")


NOTE = 'a "b" \\ \U0001f4b0'
# Of each kind, posted and declined: what is sent to which path.
ORDERS: list[tuple[str, dict[str, object]]] = [
    ("/recharge", {"userId": "u1", "amount": 100}),
    ("/transfer", {"fromuserId": "u1", "touserId": "u2", "amount": 30, "note": NOTE, "reference": "é"}),
    ("/transfer", {"fromuserId": "u2", "touserId": "u1", "amount": 31}),
    ("/withdraw", {"userId": "u1", "amount": 5}),
    ("/hold", {"fromuserId": "u1", "touserId": "u2", "amount": 20}),
    ("/refund", {"originalOrderId": "o1", "amount": 10}),
    ("/capture", {"holdOrderId": "o4", "amount": 15, "final": False}),
    ("/hold", {"fromuserId": "u1", "amount": 500}),
]


async def test_a_known_id_is_a_mismatch_even_if_the_other_order_would_be_refused(client: Client) -> None:
    await open_users(client, "u1", "u2")
    assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="100"))[0] == 200
    assert await transfer(client, "r1", "u1", "nobody", "1") == (422, "order_mismatch", False)


async def test_orders_that_are_queried_at_once_are_described_as_each_alone(client: Client) -> None:
    await open_users(client, "u1", "u2")
    for number, (path, fields) in enumerate(ORDERS):
        await post(client, path, orderId=f"o{number}", **fields)
    bulk = {"type": "recharge", "orderId": f"o{len(ORDERS)}", "userId": "u2", "amount": 1}
    await post(client, "/bulk", bulkId="b", orders=[bulk])
    ids = [f"o{number}" for number in range(len(ORDERS) + 1)]
    alone = [await query_order(client, id_) for id_ in ids]
    assert [row["ORDER_ID"] for row in alone] == ids
    assert {row["STATUS"] for row in alone} == {"posted", "declined", "held"}
    assert (alone[1]["NOTE"], alone[1]["REFERENCE"], alone[1]["REFUNDED"]) == (NOTE, "é", "10.00")
    assert await asyncio.gather(*[query_order(client, id_) for id_ in ids * 10]) == alone * 10
    codes = await asyncio.gather(*[post(client, "/querorder", orderId=id_) for id_ in ("none", *ids)])
    assert [answer.code for answer in codes] == ["order_not_found", *["done"] * len(ids)]


async def test_orders_that_are_queried_at_once_are_one_statement(client: Client, database: Database) -> None:
    await open_users(client, "u1")
    for number in range(3):
        await send(client, "/recharge", orderId=f"o{number}", userId="u1", amount="1")
    counted = CountedReads(database)
    asked = ["o0", "o1", "o2", "none"] * 20
    found = await asyncio.gather(*map(order_queries(counted).fetch, map(AskedOrder, asked)))
    assert [order and order.order_id for order in found] == [None if id_ == "none" else id_ for id_ in asked]
    assert counted.reads == 1


async def test_of_orders_that_are_queried_at_once_each_party_finds_its_own(
    client: Client, database: Database
) -> None:
    await open_users(client, "u1", "u2", "u3")
    await send(client, "/recharge", orderId="o1", userId="u1", amount="5")
    assert (await transfer(client, "o2", "u1", "u2", "1"))[0] == 200
    expected = {None: {"o1", "o2"}, "u1": {"o1", "o2"}, "u2": {"o2"}, "u3": set[str]()}
    asked = [AskedOrder(order_id, party) for party in expected for order_id in ("o1", "o2", "none")]
    counted = CountedReads(database)
    found = await asyncio.gather(*map(order_queries(counted).fetch, asked))
    assert [order and order.order_id for order in found] == [
        each.order_id if each.order_id in expected[each.party] else None for each in asked
    ]
    assert counted.reads == 1


async def test_the_database_returns_nothing_of_an_order_of_others(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_users(client, "u1")
    await send(client, "/recharge", orderId="o1", userId="u1", amount="5")

    def fail(row: object) -> None:
        raise AssertionError(row)

    monkeypatch.setattr(order_query, "_describe", fail)
    assert await order_queries(database).fetch(AskedOrder("o1", "u2")) is None
    with pytest.raises(AssertionError):
        await order_queries(database).fetch(AskedOrder("o1", "u1"))


async def test_order_ids_are_compared_exactly(client: Client) -> None:
    await open_users(client, "u1")
    for order_id in ["straße", "strasse", "STRASSE", "\u00e9", "e", "\u00c9", "e\u0301"]:
        status, _, replayed = await send(client, "/recharge", orderId=order_id, userId="u1", amount="1")
        assert (status, replayed) == (200, False), order_id
    assert await balance(client, "u1") == "7.00"


async def test_the_same_order_sent_many_times_at_once_moves_the_money_once(client: Client) -> None:
    await open_users(client, "u1", "u2")
    await send(client, "/recharge", orderId="r1", userId="u1", amount="100")
    answers = await asyncio.gather(*[transfer(client, "t1", "u1", "u2", "10") for _ in range(50)])
    assert sorted(answers) == [(200, "posted", False)] + [(200, "posted", True)] * 49
    assert await balance(client, "u1") == "90.00"


async def test_a_floor_below_zero_is_a_credit_and_the_external_account_has_none(
    client: Client, database: Database
) -> None:
    await open_users(client, "u1", "u2")
    lower = update(account).where(account.c.user_id == "u1").values(floor=-500)
    await database.write(lambda connection: connection.execute(lower))
    assert await transfer(client, "t1", "u1", "u2", "5.01") == (409, "insufficient_funds", False)
    assert await transfer(client, "t2", "u1", "u2", "5.00") == (200, "posted", False)
    assert await balance(client, "u1") == "-5.00"
    await send(client, "/recharge", orderId="r1", userId="u2", amount="1")
    outside = select(account.c.balance).where(account.c.id == EXTERNAL_ACCOUNT)
    assert await database.read(lambda connection: connection.scalar(outside)) == -100


async def test_a_user_opened_after_an_order_for_it_was_refused_is_found(client: Client) -> None:
    await open_users(client, "u1")
    assert (await send(client, "/recharge", orderId="r1", userId="u2", amount="1"))[0] == 404
    await open_users(client, "u2")
    assert (await send(client, "/recharge", orderId="r1", userId="u2", amount="1"))[0] == 200


async def test_the_journal_keeps_an_entry_of_each_account_for_what_moved(
    client: Client, database: Database
) -> None:
    await open_users(client, "u1", "u2")
    await send(client, "/recharge", orderId="r1", userId="u1", amount="10")
    await transfer(client, "t1", "u1", "u2", "4")
    await transfer(client, "t2", "u1", "u2", "7")
    rows = list(await database.read(lambda connection: connection.execute(select(entry))))
    keys = {row.account for row in rows if row.account != EXTERNAL_ACCOUNT}
    u1, u2 = sorted(keys)
    assert {tuple(row) for row in rows} == {
        (EXTERNAL_ACCOUNT, 1, "r1", -1000, -1000, None),
        (u1, 1, "r1", 1000, 1000, None),
        (u1, 2, "t1", -400, 600, None),
        (u2, 1, "t1", 400, 400, None),
    }
