"""Orders that are sent again, among others and alone, on both backends (promise 1)."""

import pytest

from myaccount.database.database import Database
from myaccount.journal import posting as posting_module
from myaccount.journal.batches import BatchConnection
from myaccount.journal.posting import Poster
from myaccount.ledger.commands import AtomicBulk, Command
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Hold, Recharge, Refund, Transfer, Withdraw
from myaccount.ledger.references import AccountId, UserCurrency

from ..conftest import Client
from ..helpers.actions import assert_books_balance, balance, open_users
from ..helpers.journals import ignore_event

ONE = Amount(1)
SENT: list[Command] = [
    Recharge("r1", "u1", Amount(100)),
    Transfer("t1", "u1", "u2", ONE),
    Transfer("t2", AccountId("a-u1"), UserCurrency("u2", "CNY"), ONE, note="why"),
    Transfer("declined", "u2", "u1", Amount(1000)),
    Withdraw("w1", "u1", ONE),
    Hold("h1", "u1", None, ONE),
]
OTHER_CONTENT: list[Command] = [
    Recharge("r1", "u2", Amount(100)),
    Transfer("t1", "u1", "u2", Amount(2)),
    Transfer("t2", AccountId("a-u1"), UserCurrency("u2", "CNY"), ONE),
    Recharge("declined", "u1", Amount(1000)),
    Withdraw("w1", "nobody", ONE),
]


@pytest.fixture
async def poster(unheard: Client, database: Database, monkeypatch: pytest.MonkeyPatch) -> Poster:
    """One that has posted SENT, has seen a replay, and seeks others for longer than any test takes."""
    monkeypatch.setattr(posting_module, "LOOK_UP_SECONDS", 3600)
    await open_users(unheard, "u1", "u2")
    poster = Poster(database, ignore_event, lambda readers: None, callback_types=())
    assert (
        await _outcomes(poster, SENT)
        == [(None, False)] * 3 + [("insufficient_funds", False)] + [(None, False)] * 2
    )
    assert await _outcomes(poster, SENT[:1]) == [(None, True)]
    return poster


async def _outcomes(poster: Poster, commands: list[Command]) -> list[tuple[str | None, bool]]:
    """Post the commands as one batch; return of each the code of its error, and whether it is a replay."""
    outcomes = (await poster.post(commands)).outcomes
    return [(None if one.error is None else one.error.code, one.replayed) for one in outcomes if one is not None]


async def test_replays_alone_lock_nothing(poster: Poster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(BatchConnection, "begin")
    replayed = [(None, True)] * 3 + [("insufficient_funds", True)] + [(None, True)] * 2
    assert await _outcomes(poster, [*SENT, *SENT]) == replayed * 2


async def test_each_order_among_replays_has_its_own_outcome(
    poster: Poster, unheard: Client, database: Database
) -> None:
    for turn in ("first", "second"):
        new: list[Command] = [Recharge(f"{turn}-r", "u2", ONE), Transfer(f"{turn}-t", "u1", "u2", ONE)]
        again = SENT[1], SENT[3]
        batch: list[Command] = [
            new[0],
            again[0],
            *OTHER_CONTENT,
            again[1],
            new[1],
            Recharge(turn, "nobody", ONE),
            new[0],
        ]
        assert await _outcomes(poster, batch) == [
            (None, False), (None, True), *[("order_mismatch", False)] * 5, ("insufficient_funds", True),
            (None, False), ("user_not_found", False), (None, True),
        ]  # fmt: skip
    assert (await balance(unheard, "u1"), await balance(unheard, "u2")) == ("95.00", "6.00")
    await assert_books_balance(database)


@pytest.mark.parametrize(
    "command", [Refund("back", "t1"), AtomicBulk("b1", (Recharge("part", "u1", ONE),))], ids=["refund", "bulk"]
)
async def test_what_is_not_sought_is_a_replay_all_the_same(poster: Poster, command: Command) -> None:
    assert await _outcomes(poster, [SENT[0], command]) == [(None, True), (None, False)]
    assert await _outcomes(poster, [SENT[0], command]) == [(None, True), (None, True)]
    assert await _outcomes(poster, [command, Recharge("new", "u1", ONE)]) == [(None, True), (None, False)]


async def test_an_order_that_another_process_commits_meanwhile_is_a_replay(
    poster: Poster, another: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Recharge("meanwhile", "u1", ONE)
    original = BatchConnection.find_committed

    async def find_too_early(self: BatchConnection, order_ids: set[str]) -> object:
        found = await original(self, order_ids)
        return [row for row in found if row[0].order_id != order.order_id]

    other = Poster(another, ignore_event, lambda readers: None, callback_types=())
    assert await _outcomes(other, [order]) == [(None, False)]
    monkeypatch.setattr(BatchConnection, "find_committed", find_too_early)
    assert await _outcomes(poster, [SENT[0], order]) == [(None, True), (None, True)]
