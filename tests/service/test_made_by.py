"""With keys: who made an order, which scope it needs once it is decided, and who sees a card number."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from myaccount.access.key_rows import rotate_key
from myaccount.database.database import Database
from myaccount.database.times import utc_now

from ..conftest import Client, Section
from ..helpers.callers import ALL, client_with, new_key, read_keys_again
from ..helpers.operators import new_operator, quick_passwords, signed_in
from ..helpers.wallets import open_account, post


@pytest.fixture
def queue() -> Section:
    return {"access": "keys"}


@pytest.fixture
async def shop(client: Client, database: Database) -> AsyncIterator[Client]:
    """A client whose key may do everything. Two users have accounts, one of them money."""
    async with client_with(client, await new_key(database, "all", *ALL)) as shop:
        for user in ("u1", "u2"):
            await open_account(shop, user, f"a-{user}")
        assert (await post(shop, "/recharge", orderId="r0", userId="u1", amount="100")).code == "done"
        yield shop


async def _with(shop: Client, database: Database, *scopes: str, name: str = "till") -> tuple[Client, str]:
    """Return a client whose key has these scopes, and the key's id."""
    key = await new_key(database, name, *scopes)
    await read_keys_again(shop)
    return client_with(shop, key), key.split("_")[1]


async def test_an_order_tells_who_made_it_and_a_rotated_key_repeats_it(shop: Client, database: Database) -> None:
    till, key_id = await _with(shop, database, "money:move", "money:in", "orders:read")
    orders = {
        "r1": ("/recharge", {"userId": "u1", "amount": "5"}),
        "t1": ("/transfer", {"fromuserId": "u1", "touserId": "u2", "amount": "1", "note": "n"}),
        "t2": ("/transfer", {"fromuserId": "u1", "touserId": "u2", "amount": "1000"}),
    }
    async with till:
        first = {id_: await post(till, path, orderId=id_, **fields) for id_, (path, fields) in orders.items()}
    assert [answer.code for answer in first.values()] == ["done", "done", "insufficient_funds"]
    new = await rotate_key(database, "till", timedelta(hours=1), utc_now())
    await read_keys_again(shop)
    async with client_with(shop, new) as till:
        for order_id, (path, fields) in orders.items():
            again = await post(till, path, orderId=order_id, **fields)
            assert (again.code, again.replayed) == (first[order_id].code, True)
            assert (await post(till, "/querorder", orderId=order_id)).body["MADE_BY"] == key_id


async def test_bulks_tell_which_key_made_their_orders(shop: Client, database: Database) -> None:
    till, key_id = await _with(shop, database, "money:in", "money:move", "orders:read")
    async with till:
        for atomic in (True, False):
            ids = [f"{atomic}-{n}" for n in range(2)]
            orders = [
                {"type": "recharge", "orderId": ids[0], "userId": "u1", "amount": "1"},
                {"type": "transfer", "orderId": ids[1], "fromuserId": "u1", "touserId": "u2", "amount": "1"},
            ]
            assert (await post(till, "/bulk", bulkId=f"b{atomic}", atomic=atomic, orders=orders)).code == "done"
            assert [(await post(till, "/querorder", orderId=id_)).body["MADE_BY"] for id_ in ids] == [key_id] * 2


async def test_the_log_of_an_account_tells_who_changed_it(shop: Client, database: Database) -> None:
    till, key_id = await _with(shop, database, "accounts:manage", "accounts:read")
    await new_operator(database, "alice")
    with quick_passwords():
        async with till, signed_in(shop, "alice") as alice:
            for who, frozen in ((till, "all"), (alice, "none"), (till, "debits")):
                assert (await post(who, "/freeze", accountId="a-u1", frozen=frozen, reason="x")).code == "done"
    # What changes nothing is no change, whoever asks.
    assert (await post(shop, "/freeze", accountId="a-u1", frozen="debits", reason="x")).code == "done"
    log = (await post(shop, "/accountlog", accountId="a-u1")).body["result"]
    made = [(row["VALUE"], row["MADE_BY"]) for row in log]
    assert made == [("debits", key_id), ("none", "alice"), ("all", key_id)]


async def test_where_the_money_goes_decides_which_scope_an_order_needs(shop: Client, database: Database) -> None:
    made = [
        ("/withdraw", {"orderId": "w0", "userId": "u1", "amount": "1"}),
        ("/hold", {"orderId": "out", "fromuserId": "u1", "amount": "1"}),
        ("/hold", {"orderId": "move", "fromuserId": "u1", "touserId": "u2", "amount": "1"}),
    ]
    for path, fields in made:
        assert (await post(shop, path, **fields)).code == "done"
    wanted = [
        ("/hold", {"fromuserId": "u1", "amount": "1"}, "money:out"),
        ("/hold", {"fromuserId": "u1", "touserId": "u2", "amount": "1"}, "money:move"),
        ("/capture", {"holdOrderId": "out"}, "money:out"),
        ("/capture", {"holdOrderId": "move"}, "money:move"),
        ("/refund", {"originalOrderId": "w0", "amount": "0.1"}, "money:in"),
        ("/refund", {"originalOrderId": "r0", "amount": "0.1"}, "money:move"),
    ]
    for number, (path, fields, scope) in enumerate(wanted):
        others = [other for other in ("money:in", "money:move", "money:out") if other != scope]
        till, _ = await _with(shop, database, *others, name=f"without{number}")
        async with till:
            refused = await post(till, path, orderId=f"o{number}", **fields)
            assert (refused.status, refused.code) == (403, "not_allowed")
            assert scope in refused.body["detail"]
        # Nothing was recorded: the id is free.
        assert (await post(shop, "/querorder", orderId=f"o{number}")).code == "order_not_found"
        till, _ = await _with(shop, database, scope, name=f"with{number}")
        async with till:
            assert (await post(till, path, orderId=f"o{number}", **fields)).code == "done"


@pytest.mark.parametrize("atomic", [True, False])
async def test_a_bulk_wants_the_scopes_of_all_its_orders(shop: Client, database: Database, atomic: bool) -> None:
    orders = [
        {"type": "transfer", "orderId": "t1", "fromuserId": "u1", "touserId": "u2", "amount": "1"},
        {"type": "withdraw", "orderId": "w1", "userId": "u1", "amount": "1"},
    ]
    till, _ = await _with(shop, database, "money:move")
    async with till:
        refused = await post(till, "/bulk", bulkId="b1", atomic=atomic, orders=orders)
    assert (refused.status, refused.code, refused.field) == (403, "not_allowed", "orders[1]")
    assert refused.body["failed"] == 1
    assert (await post(shop, "/querorder", orderId="t1")).code == "order_not_found"
    assert (await post(shop, "/bulk", bulkId="b1", atomic=atomic, orders=orders)).code == "done"


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize(
    ("scopes", "lacks", "order", "earlier"),
    [
        ("money:move", "money:out", {"type": "hold", "fromuserId": "u1", "amount": "1"}, {}),
        ("money:out", "money:move", {"type": "hold", "fromuserId": "u1", "touserId": "u2", "amount": "1"}, {}),
        ("money:in", "money:move", {"type": "refund", "originalOrderId": "e1"},
         {"type": "recharge", "userId": "u1", "amount": "1"}),
        ("money:move,money:out", "money:in", {"type": "refund", "originalOrderId": "e1"},
         {"type": "withdraw", "userId": "u1", "amount": "1"}),
        ("money:move", "money:out", {"type": "capture", "holdOrderId": "e1"},
         {"type": "hold", "fromuserId": "u1", "amount": "1"}),
    ],
)  # fmt: skip
async def test_nothing_is_done_of_a_bulk_whose_own_orders_tell_that_a_scope_is_missing(
    shop: Client, database: Database, atomic: bool, scopes: str, lacks: str, order: dict[str, str],
    earlier: dict[str, str],
) -> None:  # fmt: skip
    orders = [{**order, "orderId": "o1"}]
    if earlier:
        orders.insert(0, {**earlier, "orderId": "e1"})
    till, _ = await _with(shop, database, *scopes.split(","))
    async with till:
        refused = await post(till, "/bulk", bulkId="b1", atomic=atomic, orders=orders)
    assert (refused.status, refused.code) == (403, "not_allowed")
    assert lacks in refused.body["detail"]
    for sent in orders:
        assert (await post(shop, "/querorder", orderId=sent["orderId"])).code == "order_not_found"
    # Not even the bulk's id is taken.
    other = [{"type": "recharge", "orderId": "r1", "userId": "u1", "amount": "1"}]
    assert (await post(shop, "/bulk", bulkId="b1", orders=other)).code == "done"


async def test_a_scope_that_is_known_late_refuses_a_whole_atomic_bulk(shop: Client, database: Database) -> None:
    assert (await post(shop, "/withdraw", orderId="w0", userId="u1", amount="1")).code == "done"
    orders = [
        {"type": "transfer", "orderId": "t1", "fromuserId": "u1", "touserId": "u2", "amount": "1"},
        {"type": "refund", "orderId": "f1", "originalOrderId": "w0"},
    ]
    till, _ = await _with(shop, database, "money:move", "orders:read")
    async with till:
        refused = await post(till, "/bulk", bulkId="b1", atomic=True, orders=orders)
        assert (refused.status, refused.code, refused.body["failed"]) == (403, "not_allowed", 1)
        assert (await post(till, "/querorder", orderId="t1")).code == "order_not_found"
        # One by one, the orders do not depend on each other.
        each = await post(till, "/bulk", bulkId="b2", orders=orders)
        assert [order["CODE"] for order in each.body["ORDERS"]] == [None, "not_allowed"]


@pytest.mark.parametrize(
    ("card", "shown"), [("6222020001", "******0001"), ("12345", "******2345"), ("1234", "******"), ("1", "******")]
)
async def test_a_card_number_is_whole_only_with_the_scope_cards(
    shop: Client, database: Database, card: str, shown: str
) -> None:
    fields = {"userId": "u3", "userName": "N", "sex": "F", "accountId": "a3", "accountType": "01"}
    assert (await post(shop, "/openacc", cardNum=card, **fields)).code == "done"
    for scopes, expected in ((["accounts:read", "cards"], card), (["accounts:read"], shown)):
        till, _ = await _with(shop, database, *scopes, name=f"till{len(scopes)}")
        async with till:
            (row,) = (await post(till, "/queryacc", userId="u3")).body["result"]
        assert row["CARD_NUM"] == expected
