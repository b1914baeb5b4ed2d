"""Many orders in one request, on both backends."""

import asyncio
import json
import threading
from io import BytesIO
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.controller import body
from myaccount.controller.bulk_orders import BULK
from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.journal.writer import Journal
from myaccount.ledger.commands import Command
from myaccount.ledger.order_commands import OrderCommand
from myaccount.ledger.outcomes import Outcome
from myaccount.model.ledger import account, bulk, order, user

from ..conftest import PATIENCE_SECONDS, Client, Section, eventually
from ..helpers.actions import assert_books_balance
from ..helpers.wallets import Answer, accounts_of, balances, open_account, post, query_order

Order = dict[str, Any]


@pytest.fixture
async def shop(client: Client) -> Client:
    """u1 has 100.00, u2 and u3 nothing."""
    for n in (1, 2, 3):
        await open_account(client, f"u{n}", f"a{n}")
    await post(client, "/recharge", orderId="r1", userId="u1", amount="100")
    return client


async def _send(client: Client, bulk_id: str, *orders: Order, atomic: bool | None = None) -> Answer:
    return await post(client, "/bulk", bulkId=bulk_id, atomic=atomic, orders=orders)


def _pay(order_id: str, payer: str, payee: str, amount: object, **fields: object) -> Order:
    order = {"type": "transfer", "orderId": order_id, "fromuserId": payer, "touserId": payee, "amount": amount}
    return order | fields


def _outcomes(answer: Answer) -> list[tuple[str, int, str | None, bool]]:
    return [(row["ORDER_ID"], row["RESULT"], row["CODE"], row["REPLAYED"]) for row in answer.body["ORDERS"]]


async def _both(client: Client) -> tuple[str, str]:
    return (await balances(client, "u1"))["a1"], (await balances(client, "u2"))["a2"]


CHAIN = [
    # Each needs what those before it did.
    _pay("t1", "u1", "u2", "100"),
    _pay("t2", "u2", "u3", 100.00, note="on", reference="7"),
    {"type": "withdraw", "orderId": "w1", "userId": "u3", "amount": "30"},
    {"type": "recharge", "orderId": "r2", "accountId": "a3", "amount": "5", "currency": "CNY"},
    {"type": "hold", "orderId": "h1", "fromuserId": "u3", "touserId": "u1", "amount": "50", "expiresIn": 60},
    {"type": "extend", "orderId": "e1", "holdOrderId": "h1", "expiresIn": 120},
    {"type": "capture", "orderId": "c1", "holdOrderId": "h1", "amount": "20", "final": False},
    {"type": "release", "orderId": "v1", "holdOrderId": "h1"},
    {"type": "refund", "orderId": "f1", "originalOrderId": "c1", "amount": "5"},
]


@pytest.mark.parametrize("atomic", [True, False])
async def test_a_bulk_has_orders_of_every_type_which_see_those_before_them(
    shop: Client, database: Database, atomic: bool
) -> None:
    ids = [sent["orderId"] for sent in CHAIN]
    answer = await _send(shop, "b1", *CHAIN, atomic=atomic)
    assert (answer.status, answer.body["result"], answer.replayed) == (200, 1, False)
    assert _outcomes(answer) == [(id_, 1, None, False) for id_ in ids]
    assert await _both(shop) == ("15.00", "0.00")
    account = (await accounts_of(shop, "u3"))["a3"]
    assert (account["BALANCE"], account["HELD"]) == ("60.00", "0.00")
    await assert_books_balance(database)
    for id_ in ids:
        assert (await query_order(shop, id_))["BULK_ID"] == "b1"
    described = await query_order(shop, "t2")
    assert (described["NOTE"], described["REFERENCE"], described["AMOUNT"]) == ("on", "7", "100.00")
    # Sent again, whole, it is answered as before.
    again = await _send(shop, "b1", *CHAIN, atomic=atomic)
    assert (again.status, again.body["result"], again.replayed) == (200, 1, True)
    assert _outcomes(again) == [(id_, 1, None, True) for id_ in ids]
    assert await _both(shop) == ("15.00", "0.00")


RELEASE = {"type": "release", "orderId": "v1", "holdOrderId": "r1"}


class TestAtomic:
    """All orders, in the order given, or none."""

    async def test_a_decline_declines_all_with_their_reasons(self, shop: Client) -> None:
        sent = [_pay("t1", "u1", "u2", "60"), _pay("t2", "u1", "u2", "60"), _pay("t3", "u1", "u2", "1")]
        answer = await _send(shop, "b1", *sent, atomic=True)
        assert (answer.status, answer.code, answer.field, answer.body["failed"], answer.replayed) == (
            409, "insufficient_funds", "orders[1].amount", 1, False,
        )  # fmt: skip
        assert answer.body["result"] == 0
        assert await _both(shop) == ("100.00", "0.00")
        for id_, reason in (("t1", "bulk_declined"), ("t2", "insufficient_funds"), ("t3", "bulk_declined")):
            described = await query_order(shop, id_)
            assert (described["STATUS"], described["REASON"]) == ("declined", reason)
        # The decline is final, whatever the balance is later.
        await post(shop, "/recharge", orderId="r2", userId="u1", amount="100")
        again = await _send(shop, "b1", *sent, atomic=True)
        assert (again.status, again.code, again.body["failed"], again.replayed) == (
            409, "insufficient_funds", 1, True,
        )  # fmt: skip
        assert again.field == "orders[1].amount"
        alone = await post(shop, "/transfer", **{name: sent[0][name] for name in sent[0] if name != "type"})
        assert (alone.status, alone.code, alone.replayed) == (409, "bulk_declined", True)

    async def test_a_refusal_records_nothing_and_leaves_the_ids_free(
        self, shop: Client, database: Database
    ) -> None:
        for wrong, code, field, status in [
            (_pay("t2", "u1", "nobody", "1"), "user_not_found", "orders[1].touserId", 404),
            (_pay("t2", "u1", "u1", "1"), "same_account", None, 400),
            (
                {"type": "capture", "orderId": "t2", "holdOrderId": "r1"},
                "not_a_hold",
                "orders[1].holdOrderId",
                409,
            ),
            (_pay("t2", "u1", "u2", "0.001"), "invalid_request", "orders[1].amount", 400),
            (
                {"type": "refund", "orderId": "t2", "originalOrderId": "no"},
                "order_not_found",
                "orders[1].originalOrderId",
                404,
            ),
        ]:
            answer = await _send(shop, "b1", _pay("t1", "u1", "u2", "1"), wrong, atomic=True)
            assert (answer.status, answer.code, answer.field, answer.body["failed"]) == (status, code, field, 1)
        for table, count in ((order, 1), (bulk, 0)):
            query = select(func.count()).select_from(table)
            assert await database.read(lambda connection, query=query: connection.scalar(query)) == count  # type: ignore[misc]
        assert (await _send(shop, "b1", _pay("t1", "u1", "u2", "1"), atomic=True)).status == 200

    async def test_an_order_id_that_was_used_with_other_content_is_a_mismatch(self, shop: Client) -> None:
        sent = [_pay("t1", "u1", "u2", "1"), _pay("t2", "u1", "u2", "1")]
        assert (await _send(shop, "b1", *sent, atomic=True)).status == 200
        for others in (sent[:1], sent[::-1], [*sent, _pay("t3", "u1", "u2", "1")], [_pay("t4", "u1", "u2", "1")]):
            answer = await _send(shop, "b1", *others, atomic=True)
            assert (answer.status, answer.code, answer.field) == (422, "order_mismatch", "bulkId")
        assert (await _send(shop, "b1", *sent, atomic=False)).code == "order_mismatch"
        used = await _send(shop, "b2", _pay("t3", "u1", "u2", "1"), sent[1], atomic=True)
        assert (used.status, used.code, used.field, used.body["failed"]) == (
            422, "order_mismatch", "orders[1].orderId", 1,
        )  # fmt: skip
        assert await _both(shop) == ("98.00", "2.00")

    @pytest.mark.parametrize("amount", ["1", "1000"])
    async def test_an_order_id_that_it_used_stands_for_nothing_else(self, shop: Client, amount: str) -> None:
        """Posted or declined."""
        await _send(shop, "b1", _pay("t1", "u1", "u2", amount), atomic=True)
        before = await _both(shop), await query_order(shop, "t1")
        other = _pay("t1", "u1", "u2", "2")
        alone = await post(shop, "/transfer", **{name: other[name] for name in other if name != "type"})
        assert (alone.status, alone.code, alone.field, alone.replayed) == (
            422, "order_mismatch", "orderId", False,
        )  # fmt: skip
        refused = await _send(shop, "b2", _pay("t2", "u1", "u2", "1"), other, atomic=True)
        assert (refused.status, refused.code, refused.field, refused.body["failed"]) == (
            422, "order_mismatch", "orders[1].orderId", 1,
        )  # fmt: skip
        assert (await post(shop, "/querorder", orderId="t2")).status == 404
        assert _outcomes(await _send(shop, "b3", other)) == [("t1", 0, "order_mismatch", False)]
        assert (await _both(shop), await query_order(shop, "t1")) == before

    async def test_nobody_sees_a_part_of_it(self, shop: Client) -> None:
        """u2 has money only inside of the bulk, and so nobody else can spend it."""
        bulks = [
            _send(
                shop, f"b{n}", _pay(f"in{n}", "u1", "u2", "100"), _pay(f"out{n}", "u2", "u1", "100"), atomic=True
            )
            for n in range(10)
        ]
        thefts = [post(shop, "/withdraw", orderId=f"w{n}", userId="u2", amount="0.01") for n in range(10)]
        answers = await asyncio.gather(*[request for pair in zip(bulks, thefts, strict=True) for request in pair])
        assert {answer.status for answer in answers[::2]} == {200}
        assert {answer.code for answer in answers[1::2]} == {"insufficient_funds"}
        assert await _both(shop) == ("100.00", "0.00")

    async def test_the_same_bulk_many_times_at_once_moves_the_money_once(self, shop: Client) -> None:
        sent = [_pay(f"t{n}", "u1", "u2", "1") for n in range(5)]
        answers = await asyncio.gather(*[_send(shop, "b1", *sent, atomic=True) for _ in range(6)])
        assert {answer.status for answer in answers} == {200}
        assert sorted(answer.replayed for answer in answers) == [False] + [True] * 5
        assert await _both(shop) == ("95.00", "5.00")


class TestEachOnItsOwn:
    """Without `atomic`, as if each came alone, in order."""

    async def test_the_reply_tells_the_outcome_of_each(self, shop: Client) -> None:
        await post(shop, "/transfer", orderId="t0", fromuserId="u1", touserId="u2", amount="10")
        sent = [
            _pay("t1", "u1", "u2", "60"),
            _pay("t2", "u1", "u2", "60"),
            _pay("t3", "u1", "nobody", "1"),
            _pay("t0", "u1", "u2", "10"),
            _pay("t0x", "u2", "u1", "70"),
            _pay("t4", "u1", "u2", "0.001"),
        ]
        answer = await _send(shop, "b1", *sent)
        assert (answer.status, answer.body["result"], answer.replayed) == (200, 0, False)
        assert _outcomes(answer) == [
            ("t1", 1, None, False),
            ("t2", 0, "insufficient_funds", False),
            ("t3", 0, "user_not_found", False),
            ("t0", 1, None, True),
            ("t0x", 1, None, False),
            ("t4", 0, "invalid_request", False),
        ]
        assert await _both(shop) == ("100.00", "0.00")
        again = await _send(shop, "b1", *sent)
        assert [row[:3] for row in _outcomes(again)] == [row[:3] for row in _outcomes(answer)]
        # Not every order was replayed: what was refused was not recorded.
        assert not again.replayed
        # The order that came alone is in no bulk.
        assert (await query_order(shop, "t0"))["BULK_ID"] is None

    async def test_other_orders_under_its_id_are_a_mismatch_and_not_done(self, shop: Client) -> None:
        assert (await _send(shop, "b1", _pay("t1", "u1", "u2", "1"))).status == 200
        for others in ([_pay("t1", "u1", "u2", "2")], [_pay("t2", "u1", "u2", "1")]):
            answer = await _send(shop, "b1", *others)
            assert (answer.status, answer.code, answer.field) == (422, "order_mismatch", "bulkId")
        assert (await _send(shop, "b1", _pay("t1", "u1", "u2", "1"), atomic=True)).code == "order_mismatch"
        assert await _both(shop) == ("99.00", "1.00")

    async def test_an_order_id_of_other_content_is_that_order_s_mismatch(self, shop: Client) -> None:
        await post(shop, "/transfer", orderId="t1", fromuserId="u1", touserId="u2", amount="1")
        answer = await _send(shop, "b1", _pay("t1", "u1", "u2", "2"), _pay("t2", "u1", "u2", "2"))
        assert [row[:3] for row in _outcomes(answer)] == [("t1", 0, "order_mismatch"), ("t2", 1, None)]

    async def test_a_new_bulk_of_orders_that_were_done_before_is_no_replay_itself(self, shop: Client) -> None:
        await post(shop, "/transfer", orderId="t1", fromuserId="u1", touserId="u2", amount="1")
        answer = await _send(shop, "b1", _pay("t1", "u1", "u2", "1"))
        assert (_outcomes(answer), answer.replayed) == ([("t1", 1, None, True)], False)
        assert (await _send(shop, "b1", _pay("t1", "u1", "u2", "1"))).replayed

    async def test_all_replayed_is_a_replay(self, shop: Client) -> None:
        sent = [_pay("t1", "u1", "u2", "60"), _pay("t2", "u1", "u2", "60")]
        first, again = await _send(shop, "b1", *sent), await _send(shop, "b1", *sent)
        assert (first.replayed, again.replayed) == (False, True)
        assert _outcomes(again) == [("t1", 1, None, True), ("t2", 0, "insufficient_funds", True)]

    async def test_an_unexpected_error_is_the_outcome_of_its_order_alone(
        self, shop: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        submit = Journal.submit

        async def fail(journal: Journal, command: Command) -> Outcome:
            if isinstance(command, OrderCommand) and command.order_id == "t2":
                raise RuntimeError("broken")
            return await submit(journal, command)

        sent = [_pay(f"t{n}", "u1", "u2", "1") for n in (1, 2, 3)]
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "submit", fail)
            answer = await _send(shop, "b1", *sent)
        assert (answer.status, answer.body["result"]) == (200, 0)
        assert [row[:3] for row in _outcomes(answer)] == [
            ("t1", 1, None),
            ("t2", 0, "internal_error"),
            ("t3", 1, None),
        ]
        assert "RuntimeError: broken" in caplog.text
        # Sent again, it is completed.
        assert [row[1:] for row in _outcomes(await _send(shop, "b1", *sent))] == [
            (1, None, True), (1, None, False), (1, None, True),
        ]  # fmt: skip


class TestOverload:
    """An order that the queue has no room for is refused, and the others are done."""

    @pytest.fixture
    def queue(self) -> Section:
        return {"journal": {"waiting_limit": 3, "waiting_seconds": PATIENCE_SECONDS}}

    async def test_the_orders_that_do_not_fit_get_the_code(self, shop: Client) -> None:
        sent = [_pay(f"t{n}", "u1", "u2", "1") for n in range(5)]
        answer = await _send(shop, "b1", *sent)
        assert (answer.status, answer.body["result"]) == (200, 0)
        assert _outcomes(answer) == [
            *[(f"t{n}", 1, None, False) for n in range(3)],
            *[(f"t{n}", 0, "overloaded", False) for n in (3, 4)],
        ]
        again = await _send(shop, "b1", *sent)
        assert [row[1] for row in _outcomes(again)][:3] == [1, 1, 1]
        # One command, however many orders it has.
        assert (
            await _send(shop, "b2", *[_pay(f"s{n}", "u1", "u2", "1") for n in range(5)], atomic=True)
        ).status == 200


@pytest.mark.parametrize("atomic", [True, False])
async def test_a_thousand_orders_on_one_account_and_on_two_thousand(
    shop: Client, database: Database, atomic: bool
) -> None:
    note = "名" * 100
    recharges = [
        {"type": "recharge", "orderId": f"n{n}", "userId": "u1", "amount": "1", "note": note} for n in range(1000)
    ]
    answer = await _send(shop, "b1", *recharges, atomic=atomic)
    assert (answer.status, answer.body["result"], len(answer.body["ORDERS"])) == (200, 1, 1000)
    assert (await balances(shop, "u1")) == {"a1": "1100.00"}
    await _insert_users(database, 2000)
    spread = [_pay(f"t{n}", f"x{2 * n}", f"x{2 * n + 1}", "1") for n in range(1000)]
    answer = await _send(shop, "b2", *spread, atomic=atomic)
    assert (answer.status, answer.body["result"]) == (200, 1)
    assert (await balances(shop, "x1999"), await balances(shop, "x0")) == ({"x1999": "1.00"}, {"x0": "-1.00"})
    await assert_books_balance(database)


async def _insert_users(database: Database, count: int) -> None:
    """Insert users x0, x1 and so on, each with an account that may go below zero."""
    now = utc_now()
    names = [f"x{n}" for n in range(count)]
    users = [
        {"user_id": name, "user_name": "N", "sex": "F", "card_num": "62", "created_at": now} for name in names
    ]
    accounts = [
        {
            "account_id": name, "account_type": "01", "user_id": name, "currency": "CNY", "balance": 0,
            "floor": -100, "created_at": now,
        }
        for name in names
    ]  # fmt: skip

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(insert(user), users)
        await connection.execute(insert(account), accounts)

    await database.write(work)


RECHARGE = {"type": "recharge", "orderId": "r9", "userId": "u1", "amount": "1"}
MANY = [RECHARGE | {"orderId": f"r{n}"} for n in range(2, 1002)]
WRONG: list[tuple[str, Any, str | None]] = [
    ("no fields", {}, "bulkId"),
    ("no bulk id", {"orders": [RECHARGE]}, "bulkId"),
    ("no orders", {"bulkId": "b1"}, "orders"),
    ("an empty list", {"bulkId": "b1", "orders": []}, "orders"),
    ("1,001 orders", {"bulkId": "b1", "orders": [*MANY, RECHARGE | {"orderId": "r1001x"}]}, "orders"),
    ("an object of orders", {"bulkId": "b1", "orders": {"0": RECHARGE}}, "orders"),
    ("orders as text", {"bulkId": "b1", "orders": json.dumps([RECHARGE])}, "orders"),
    ("no list", {"bulkId": "b1", "orders": 1}, "orders"),
    ("null", {"bulkId": "b1", "orders": None}, "orders"),
    ("a wrong bulk id", {"bulkId": "b 1", "orders": [RECHARGE]}, "bulkId"),
    ("a number as bulk id", {"bulkId": 1, "orders": [RECHARGE]}, "bulkId"),
    ("a long bulk id", {"bulkId": "b" * 46, "orders": [RECHARGE]}, "bulkId"),
    ("a wrong flag", {"bulkId": "b1", "atomic": "maybe", "orders": [RECHARGE]}, "atomic"),
    ("a number as flag", {"bulkId": "b1", "atomic": 1, "orders": [RECHARGE]}, "atomic"),
    ("an unknown field", {"bulkId": "b1", "orders": [RECHARGE], "order": 1}, "order"),
    ("an order that is text", {"bulkId": "b1", "orders": [RECHARGE, "r2"]}, "orders[1]"),
    ("an order that is a list", {"bulkId": "b1", "orders": [[RECHARGE]]}, "orders[0]"),
    ("no type", {"bulkId": "b1", "orders": [{"orderId": "r1"}]}, "orders[0].type"),
    ("an unknown type", {"bulkId": "b1", "orders": [RECHARGE | {"type": "01"}]}, "orders[0].type"),
    ("a list as type", {"bulkId": "b1", "orders": [RECHARGE | {"type": ["recharge"]}]}, "orders[0].type"),
    ("a path as type", {"bulkId": "b1", "orders": [RECHARGE | {"type": "/recharge"}]}, "orders[0].type"),
    (
        "a bulk in a bulk",
        {"bulkId": "b1", "orders": [{"type": "bulk", "bulkId": "b2", "orders": [RECHARGE]}]},
        "orders[0].type",
    ),
    ("another operation", {"bulkId": "b1", "orders": [{"type": "close", "accountId": "a1"}]}, "orders[0].type"),
    ("an order without a field", {"bulkId": "b1", "orders": [{"type": "recharge"}]}, "orders[0].orderId"),
    ("an order with too many", {"bulkId": "b1", "orders": [RECHARGE | {"bulkId": "b1"}]}, "orders[0].bulkId"),
    ("an order with bulk_id", {"bulkId": "b1", "orders": [RECHARGE | {"bulk_id": "x"}]}, "orders[0].bulk_id"),
    ("both of a pair", {"bulkId": "b1", "orders": [RECHARGE | {"accountId": "a1"}]}, "orders[0].accountId"),
    (
        "a wrong field in the 700th",
        {"bulkId": "b1", "orders": [*MANY[:699], RECHARGE | {"amount": "1e3"}, *MANY[700:]]},
        "orders[699].amount",
    ),
    (
        "one order id twice",
        {"bulkId": "b1", "orders": [*MANY[:3], RECHARGE | {"orderId": "r2"}]},
        "orders[3].orderId",
    ),
]


async def test_any_fault_of_form_is_refused_by_its_place_and_nothing_is_done(
    shop: Client, database: Database
) -> None:
    repeating = f'{{"bulkId": "b1", "orders": [{json.dumps(RECHARGE)}, {{"orderId": "r8", "orderId": "r8"}}]}}'
    for text, field in [
        *[(json.dumps({"atomic": atomic} | sent), field) for atomic in (True, False) for _, sent, field in WRONG],
        (repeating, "orders[1].orderId"),
        ('{"bulkId": "b1", "bulkId": "b1", "orders": []}', "bulkId"),
        ('{"bulkId": "b1", "orders": [', None),
        ("[]", None),
    ]:
        async with shop.post("/bulk", data=text, headers={"Content-Type": "application/json"}) as response:
            problem = await response.json(content_type=None)
        refused = (response.status, problem["code"], problem.get("field"))
        assert refused == (400, "invalid_request", field), text[:200]
    for table, count in ((order, 1), (bulk, 0)):
        query = select(func.count()).select_from(table)
        assert await database.read(lambda connection, query=query: connection.scalar(query)) == count  # type: ignore[misc]


async def test_a_bulk_is_json_of_up_to_1_mib(shop: Client) -> None:
    sent = json.dumps({"bulkId": "b1", "orders": [RECHARGE]})
    for text, content_type, status in [
        (sent.ljust(BULK.body_limit_bytes + 1), "application/json", 413),
        (sent.ljust(BULK.body_limit_bytes), "application/json", 200),
        ("bulkId=b1&orders=", "application/x-www-form-urlencoded", 415),
        (sent, "text/plain", 415),
    ]:
        headers = {"Content-Type": content_type}
        async with shop.post("/bulk", data=BytesIO(text.encode()), headers=headers) as response:
            assert response.status == status
    # Every other route still takes 16 KiB.
    recharge = json.dumps({"orderId": "r2", "userId": "u1", "amount": "1"})
    for size, status in ((16 * 1024 + 1, 413), (16 * 1024, 200)):
        headers = {"Content-Type": "application/json"}
        async with shop.post("/recharge", data=recharge.ljust(size), headers=headers) as response:
            assert response.status == status
    async with shop.get("/bulk") as response:
        assert response.status == 405


async def test_a_field_in_the_address_is_refused(shop: Client) -> None:
    for query, field in (("bulkId=b1", "bulkId"), ("atomic=true", "atomic"), ("x", "x")):
        answer = await post(shop, f"/bulk?{query}", bulkId="b1", orders=[RECHARGE])
        assert (answer.status, answer.code, answer.field) == (400, "invalid_request", field)


async def test_a_large_body_is_decoded_in_a_thread(shop: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    decode = body._decode

    def noting(*arguments: Any) -> dict[str, Any]:
        threads.append(threading.current_thread() is threading.main_thread())
        return decode(*arguments)

    monkeypatch.setattr(body, "_decode", noting)
    text = json.dumps({"bulkId": "b1", "orders": [RECHARGE]})
    for size in (body.LARGE_BYTES, body.LARGE_BYTES + 1):
        headers = {"Content-Type": "application/json"}
        async with shop.post("/bulk", data=text.ljust(size), headers=headers) as response:
            assert response.status == 200
    assert threads == [True, False]


async def test_too_many_large_bodies_at_once_are_refused_at_once(
    shop: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "_large_bodies", places := asyncio.Semaphore(2))
    monkeypatch.setattr(body, "BODY_TIMEOUT_SECONDS", 600)
    small, large = (json.dumps({"bulkId": "b1", "orders": [RECHARGE]}).ljust(size) for size in (100, 100_000))
    content = {"Content-Type": "application/json"}

    async def send(text: str) -> int:
        async with shop.post("/bulk", data=text, headers=content) as response:
            if response.status == 503:
                assert (await response.json(content_type=None))["code"] == "overloaded"
                assert response.headers["Retry-After"]
            return response.status

    arriving = []
    for framing in (f"Content-Length: {len(large)}\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"):
        _, writer = await asyncio.open_connection(shop.host, shop.port)
        writer.write(f"POST /bulk HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\n{framing}".encode())
        arriving.append(writer)

    async def both_arrive() -> bool:
        return places.locked()

    async def one_is_gone() -> bool:
        return not places.locked()

    await eventually(both_arrive)
    assert (await send(large), await send(small)) == (503, 200)
    arriving[0].close()
    await eventually(one_is_gone)
    assert await send(large) == 200
    arriving[1].close()


async def test_a_bulk_is_not_even_decoded_if_the_orders_that_wait_are_too_many(
    shop: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"Content-Type": "application/json"}
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "full", True)
        async with shop.post("/bulk", data=b"{" * 10_000, headers=content) as response:
            assert (response.status, (await response.json())["code"]) == (503, "overloaded")
    assert (await _send(shop, "b1", _pay("t1", "u1", "u2", "1"))).status == 200
