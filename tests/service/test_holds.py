"""Holds and how they end, on both backends."""

import asyncio
import sys
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.model import ledger

from ..conftest import Client, Section, eventually
from ..helpers.wallets import Answer, accounts_of, balances, open_account, post, query_order

WEEK = timedelta(days=7)


@pytest.fixture
async def shop(client: Client) -> Client:
    """u1 has 100.00, u2 nothing."""
    await open_account(client, "u1", "a1")
    await open_account(client, "u2", "a2")
    await post(client, "/recharge", orderId="r1", userId="u1", amount="100")
    return client


async def _hold(client: Client, order_id: str, amount: str, **fields: object) -> Answer:
    return await post(
        client, "/hold", **{"orderId": order_id, "fromuserId": "u1", "touserId": "u2", "amount": amount, **fields}
    )


async def _capture(
    client: Client, order_id: str, hold: str, amount: str | None = None, **fields: object
) -> Answer:
    return await post(client, "/capture", orderId=order_id, holdOrderId=hold, amount=amount, **fields)


async def _release(client: Client, order_id: str, hold: str) -> Answer:
    return await post(client, "/release", orderId=order_id, holdOrderId=hold)


async def _extend(client: Client, order_id: str, hold: str, seconds: object) -> Answer:
    return await post(client, "/extend", orderId=order_id, holdOrderId=hold, expiresIn=seconds)


async def _money(client: Client) -> tuple[str, str, str]:
    """Return the payer's balance, what of it is held, and what is available."""
    account = (await accounts_of(client, "u1"))["a1"]
    return account["BALANCE"], account["HELD"], account["AVAILABLE"]


async def _state(client: Client, hold: str) -> tuple[str, str, str]:
    described = await query_order(client, hold)
    return described["STATUS"], described["CAPTURED"], described["LEFT"]


async def _lifetime(client: Client, hold: str) -> timedelta:
    """Return for how long the hold was made."""
    described = await query_order(client, hold)
    return datetime.fromisoformat(described["EXPIRES_AT"]) - datetime.fromisoformat(described["CREATE_TIME"])


async def _expire(client: Client, *holds: str) -> None:
    """Wait until the holds have expired."""
    for hold in holds:
        await eventually(lambda hold=hold: _has_expired(client, hold))  # type: ignore[misc]


async def _has_expired(client: Client, hold: str) -> bool:
    return (await _state(client, hold))[0] == "expired"


async def test_what_is_held_is_not_available(shop: Client) -> None:
    assert await _hold(shop, "h1", "60") == (200, {"result": 1}, False)
    assert await _money(shop) == ("100.00", "60.00", "40.00")
    assert (await balances(shop, "u2")) == {"a2": "0.00"}
    for path, fields in {
        "/transfer": {"fromuserId": "u1", "touserId": "u2"}, "/withdraw": {"userId": "u1"},
        "/hold": {"fromuserId": "u1"},
    }.items():  # fmt: skip
        declined = await post(shop, path, orderId=f"x{path[1:]}", amount="40.01", **fields)
        assert (declined.status, declined.code) == (409, "insufficient_funds"), path
    assert (await post(shop, "/withdraw", orderId="w1", userId="u1", amount="40")).status == 200
    assert await _money(shop) == ("60.00", "60.00", "0.00")
    assert (await _hold(shop, "h1", "60.00")).replayed
    assert (await _hold(shop, "h1", "60", expiresIn=604800)).code == "order_mismatch"
    assert (await _hold(shop, "h1", "60", touserId=None)).code == "order_mismatch"


async def test_a_hold_is_described_with_what_is_left_of_it_and_its_end(shop: Client) -> None:
    await _hold(shop, "h1", "60")
    await _hold(shop, "h2", "10", touserId=None, expiresIn=3600)
    described = await query_order(shop, "h1")
    assert [described[name] for name in ("ORDER_TYPE", "STATUS", "AMOUNT", "CAPTURED", "LEFT", "REFUNDED")] == [
        "05", "held", "60.00", "0.00", "60.00", None,
    ]  # fmt: skip
    assert [described[name] for name in ("FROM_ACCOUNT_ID", "TO_ACCOUNT_ID")] == ["a1", "a2"]
    assert (await query_order(shop, "h2"))["TO_ACCOUNT_ID"] is None
    assert (await _lifetime(shop, "h1"), await _lifetime(shop, "h2")) == (WEEK, timedelta(hours=1))
    await _hold(shop, "h3", "100")
    declined = await query_order(shop, "h3")
    assert [declined[name] for name in ("STATUS", "REASON", "CAPTURED", "LEFT", "EXPIRES_AT")] == [
        "declined", "insufficient_funds", None, None, None,
    ]  # fmt: skip


async def test_a_capture_without_an_amount_takes_all_and_ends_the_hold(shop: Client) -> None:
    await _hold(shop, "h1", "60")
    assert await _capture(shop, "c1", "h1") == (200, {"result": 1}, False)
    assert (await _money(shop), await balances(shop, "u2")) == (("40.00", "0.00", "40.00"), {"a2": "60.00"})
    assert await _state(shop, "h1") == ("captured", "60.00", "0.00")
    described = await query_order(shop, "c1")
    assert [described[name] for name in ("ORDER_TYPE", "AMOUNT", "HOLD_ORDER_ID", "ORIGINAL_ORDER_ID")] == [
        "06", "60.00", "h1", None,
    ]  # fmt: skip
    assert (await _capture(shop, "c1", "h1")).replayed
    again = await _capture(shop, "c2", "h1", "1")
    assert (again.status, again.code, again.field) == (409, "hold_ended", "holdOrderId")


async def test_several_captures_take_up_to_what_is_left(shop: Client) -> None:
    await _hold(shop, "h1", "60")
    assert (await _capture(shop, "c1", "h1", "20")).status == 200
    assert await _state(shop, "h1") == ("held", "20.00", "40.00")
    assert await _money(shop) == ("80.00", "40.00", "40.00")
    more = await _capture(shop, "c2", "h1", "40.01")
    assert (more.status, more.code, more.field) == (409, "capture_exceeds_hold", "amount")
    assert (await _capture(shop, "c3", "h1", "15", final=False)).status == 200
    # A final capture frees the rest.
    assert (await _capture(shop, "c4", "h1", "5", final=True)).status == 200
    assert await _state(shop, "h1") == ("captured", "40.00", "0.00")
    assert await _money(shop) == ("60.00", "0.00", "60.00")
    # What takes the last of it ends it as well.
    await _hold(shop, "h2", "10")
    assert (await _capture(shop, "c5", "h2", "10")).status == 200
    assert await _state(shop, "h2") == ("captured", "10.00", "0.00")
    assert (await _capture(shop, "c1", "h1", "20", final=False)).code == "order_mismatch"


async def test_one_hold_is_captured_once_by_many_captures_at_once(shop: Client) -> None:
    await _hold(shop, "h1", "60")
    answers = await asyncio.gather(*[_capture(shop, f"c{n}", "h1") for n in range(8)])
    assert sorted(answer.code for answer in answers) == ["done"] + ["hold_ended"] * 7
    assert (await balances(shop, "u2")) == {"a2": "60.00"}


async def test_a_hold_without_a_payee_is_captured_to_the_outside(shop: Client) -> None:
    await _hold(shop, "h1", "60", touserId=None)
    await _capture(shop, "c1", "h1", "25")
    described = await query_order(shop, "c1")
    assert (described["TO_USER_ID"], described["TO_ACCOUNT_ID"]) == (None, None)
    assert await _money(shop) == ("75.00", "35.00", "40.00")


async def test_a_release_frees_what_is_left_once(shop: Client) -> None:
    await _hold(shop, "h1", "60")
    await _capture(shop, "c1", "h1", "10")
    assert await _release(shop, "v1", "h1") == (200, {"result": 1}, False)
    assert await _money(shop) == ("90.00", "0.00", "90.00")
    assert await _state(shop, "h1") == ("released", "10.00", "0.00")
    described = await query_order(shop, "v1")
    assert (described["ORDER_TYPE"], described["HOLD_ORDER_ID"]) == ("07", "h1")
    assert (await _release(shop, "v1", "h1")).replayed
    for n, answer in enumerate([
        await _release(shop, "v2", "h1"), await _capture(shop, "c2", "h1"), await _extend(shop, "e1", "h1", 60),
    ]):  # fmt: skip
        assert (answer.status, answer.code, answer.field) == (409, "hold_ended", "holdOrderId"), n


async def test_an_extension_counts_from_now(shop: Client) -> None:
    await _hold(shop, "h1", "60")
    assert await _extend(shop, "e1", "h1", "7200") == (200, {"result": 1}, False)
    made, extended = await query_order(shop, "h1"), await query_order(shop, "e1")
    assert datetime.fromisoformat(made["EXPIRES_AT"]) - datetime.fromisoformat(
        extended["CREATE_TIME"]
    ) == timedelta(hours=2)
    assert [extended[name] for name in ("ORDER_TYPE", "HOLD_ORDER_ID", "EXPIRES_AT")] == ["08", "h1", None]
    assert (await _extend(shop, "e1", "h1", 7200)).replayed
    assert (await _extend(shop, "e1", "h1", 7201)).code == "order_mismatch"
    assert await _money(shop) == ("100.00", "60.00", "40.00")


async def test_a_hold_lasts_up_to_a_year(shop: Client) -> None:
    await _hold(shop, "h1", "1", expiresIn=31536000)
    assert await _lifetime(shop, "h1") == timedelta(days=365)
    await _hold(shop, "h2", "1")
    await _extend(shop, "e1", "h2", 31536000)
    assert await _lifetime(shop, "h2") >= timedelta(days=365)


async def test_a_hold_in_a_currency_has_its_decimals(client: Client) -> None:
    await open_account(client, "u1", "a1", "JPY")
    await post(client, "/recharge", orderId="r1", userId="u1", amount="100")
    await post(client, "/hold", orderId="h1", fromuserId="u1", amount="60")
    await _capture(client, "c1", "h1", "20")
    assert await _state(client, "h1") == ("held", "20", "40")
    assert await _money(client) == ("80", "40", "40")


async def test_an_expired_hold_is_available_and_cannot_be_captured(shop: Client) -> None:
    await _hold(shop, "h1", "60", expiresIn=1)
    await _hold(shop, "h2", "30")
    await _expire(shop, "h1")
    assert await _money(shop) == ("100.00", "30.00", "70.00")
    assert await _state(shop, "h1") == ("expired", "0.00", "0.00")
    for answer in (
        await _capture(shop, "c1", "h1"),
        await _capture(shop, "c2", "h1", "1"),
        await _release(shop, "v1", "h1"),
        await _extend(shop, "e1", "h1", 60),
    ):
        assert (answer.status, answer.code, answer.field) == (409, "hold_expired", "holdOrderId")
    assert (await post(shop, "/withdraw", orderId="w1", userId="u1", amount="70")).status == 200
    assert await _money(shop) == ("30.00", "30.00", "0.00")
    assert (await _lifetime(shop, "h1")) == timedelta(seconds=1)


@pytest.mark.usefixtures("unswept")
class TestWithoutASweeper:
    """A hold that has expired may not be ended yet."""

    async def test_the_queries_do_not_count_it(self, shop: Client, database: Database) -> None:
        await _hold(shop, "h2", "30")
        # Last, since the next order would end it.
        await _hold(shop, "h1", "60", expiresIn=1)
        await _expire(shop, "h1")
        assert await _money(shop) == ("100.00", "30.00", "70.00")
        assert await _state(shop, "h1") == ("expired", "0.00", "0.00")
        rows = await database.read(lambda connection: connection.execute(select(ledger.hold)))
        found = {row.order_id: (row.status, row.remaining) for row in rows}
        assert found == {"h1": ("held", 6000), "h2": ("held", 3000)}
        # The next order ends it.
        assert (await post(shop, "/withdraw", orderId="w1", userId="u1", amount="70")).status == 200
        assert await _money(shop) == ("30.00", "30.00", "0.00")

    @pytest.mark.parametrize(
        ("path", "parties"),
        [("/recharge", {"userId": "u1"}), ("/transfer", {"fromuserId": "u2", "touserId": "u1"})],
    )
    async def test_an_order_that_pays_the_account_ends_it(
        self, shop: Client, database: Database, path: str, parties: dict[str, str]
    ) -> None:
        await post(shop, "/recharge", orderId="r2", userId="u2", amount="1")
        await _hold(shop, "h1", "60", expiresIn=1)
        await _expire(shop, "h1")
        assert (await post(shop, path, orderId="in", amount="1", **parties)).status == 200
        rows = await database.read(lambda connection: connection.execute(select(ledger.hold)))
        assert [(row.status, row.remaining, row.due_at) for row in rows] == [("expired", 0, None)]
        held = select(ledger.account.c.held).where(ledger.account.c.account_id == "a1")
        assert await database.read(lambda connection: connection.scalar(held)) == 0


class TestAClockThatIsWrong:
    """The database's time decides, whatever this process's clock says."""

    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    @pytest.fixture(autouse=True, params=[-1, 1])
    def hours(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
        """Set the service's clock so many hours ahead."""
        hours: int = request.param
        for name, module in sys.modules.items():
            if name.startswith("myaccount.") and hasattr(module, "utc_now"):
                monkeypatch.setattr(module, "utc_now", lambda: utc_now() + timedelta(hours=hours))
        return hours

    async def test_a_hold_ends_by_the_database_s_time(self, shop: Client, hours: int) -> None:
        # The clock is really wrong: the time of an opening is the process's.
        opened_at = datetime.fromisoformat((await accounts_of(shop, "u1"))["a1"]["CREATE_TIME"])
        assert abs(opened_at.replace(tzinfo=None) - utc_now()) > timedelta(minutes=59)
        await _hold(shop, "h1", "60", expiresIn=1)
        await _hold(shop, "h2", "40", expiresIn=600)
        made_at = datetime.fromisoformat((await query_order(shop, "h1"))["CREATE_TIME"])
        assert abs(made_at.replace(tzinfo=None) - utc_now()) < timedelta(minutes=1)
        await _expire(shop, "h1")
        assert await _state(shop, "h2") == ("held", "0.00", "40.00")
        assert await _money(shop) == ("100.00", "40.00", "60.00")
        assert (await _capture(shop, "c1", "h1")).code == "hold_expired"
        assert (await _extend(shop, "e1", "h2", 600)).status == 200
        assert (await _capture(shop, "c2", "h2")).status == 200
        assert (await post(shop, "/withdraw", orderId="w1", userId="u1", amount="60")).status == 200


async def test_a_freeze_stops_new_holds_and_only_a_whole_one_stops_captures(shop: Client) -> None:
    await _hold(shop, "h1", "60")
    await post(shop, "/freeze", accountId="a1", frozen="debits", reason="why")
    assert (await _hold(shop, "h2", "1")).code == "account_frozen"
    assert (await _capture(shop, "c1", "h1", "10")).status == 200
    await post(shop, "/freeze", accountId="a1", frozen="all", reason="why")
    assert (await _capture(shop, "c2", "h1", "10")).code == "account_frozen"
    assert (await _extend(shop, "e1", "h1", 60)).status == 200
    assert (await _release(shop, "v1", "h1")).status == 200


async def test_an_account_with_a_hold_is_not_closed_and_a_closed_one_gets_no_hold(shop: Client) -> None:
    await _hold(shop, "h1", "100")
    assert (await post(shop, "/close", accountId="a1", reason="why")).code == "account_in_use"
    await post(shop, "/close", accountId="a2", reason="why")
    assert (await _capture(shop, "c1", "h1")).code == "account_closed"
    await _release(shop, "v1", "h1")
    assert (await _hold(shop, "h2", "1")).code == "account_closed"


async def test_only_holds_are_captured_released_and_extended(shop: Client) -> None:
    await _hold(shop, "h1", "1000")
    for hold in ("r1", "h1"):
        for answer in (
            await _capture(shop, "x", hold),
            await _release(shop, "x", hold),
            await _extend(shop, "x", hold, 60),
        ):
            assert (answer.status, answer.code, answer.field) == (409, "not_a_hold", "holdOrderId")
    for answer in (
        await _capture(shop, "x", "nothing"),
        await _release(shop, "x", "nothing"),
        await _extend(shop, "x", "nothing", 60),
    ):
        assert (answer.status, answer.code, answer.field) == (404, "order_not_found", "holdOrderId")
    assert (await post(shop, "/querorder", orderId="x")).status == 404


async def test_holds_and_their_captures_at_once_hold_every_cent(shop: Client) -> None:
    """A hold, its captures and other payments may come in one batch."""
    assert {(await _hold(shop, f"h{n}", "10")).status for n in range(5)} == {200}
    await asyncio.gather(
        *[_capture(shop, f"c{n}", f"h{n}", "4", final=n % 2 == 0) for n in range(5)],
        *[_hold(shop, f"i{n}", "10") for n in range(10)],
        *[_release(shop, f"v{n}", f"h{n}") for n in range(5)],
    )
    balance, held, available = [float(text) for text in await _money(shop)]
    assert (balance, round(held + available, 2)) == (80.0, 80.0)
    assert held >= 10
