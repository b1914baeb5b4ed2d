"""Random batches of every kind of command, held against a plain model of one order at a time, and the promises."""

from dataclasses import fields
from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from myaccount.ledger.account_commands import AddAccount, OpenAccount, Opening
from myaccount.ledger.commands import AtomicBulk, Command, NameBulk
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import OrderCommand, Recharge
from myaccount.ledger.outcomes import Outcome
from myaccount.ledger.records import Order
from myaccount.ledger.references import AccountId, UserCurrency
from myaccount.ledger.refusals import Decline, OrderMismatch
from tests.helpers.comparison import answer, assert_same, expired_unseen
from tests.helpers.plain_ledger import NO_CONTENT, PlainLedger, content
from tests.helpers.promises import check_promises
from tests.helpers.random_commands import ACCOUNTS, OPENINGS, RandomCommands, with_fields
from tests.helpers.stored_books import START, StoredBooks

# Most of what can happen needs some accounts and money first.
FIRST: list[Command] = [
    *OPENINGS,
    *[Recharge(f"first {account_id}", AccountId(account_id), Amount(50)) for account_id, _, _ in ACCOUNTS[::2]],
]
# Hypothesis draws the seed of a batch, not each field: so a hundred times as many orders are tried.
seeds = st.integers(0, 2**32).map(Random)


class RulesAgainstModel(RuleBasedStateMachine):
    """Both carry out the same commands. Time moves on between batches, so that holds expire."""

    def __init__(self) -> None:
        super().__init__()
        self.books = StoredBooks()
        self.plain = PlainLedger(START)
        # The outcomes that were recorded, and of what.
        self.orders: dict[str, tuple[OrderCommand, Outcome]] = {}
        self.bulks: dict[str, tuple[AtomicBulk | NameBulk, Outcome]] = {}
        self.openings: list[Opening] = []
        self._send(FIRST)

    @rule(random=seeds, size=st.integers(1, 12))
    def send(self, random: Random, size: int) -> None:
        recorded = [order for order, _ in self.orders.values()]
        posted = [order for order, outcome in self.orders.values() if outcome.error is None]
        bulks = [bulk for bulk, _ in self.bulks.values()]
        self._send(RandomCommands(random, recorded, posted, bulks, self.openings).batch(size))

    def _send(self, batch: list[Command]) -> None:
        outcomes = self.books.send(*batch)
        for command, outcome in zip(batch, outcomes, strict=True):
            told = answer(outcome)
            assert self.plain.send(command, told.code) == told, command
            self._remember(command, outcome)
            if isinstance(command, OrderCommand) and command.order_id in self.books.orders:
                self._assert_expired_holds_are_ended(self.books.orders[command.order_id], outcome)
        # 5: only what was posted or declined has left a row.
        assert self.books.orders.keys() == self.orders.keys()

    @rule(seconds=st.sampled_from([0.0, 0.999999, 1.0, 4.0, 59.0, 604800.0]))
    def wait(self, seconds: float) -> None:
        self.books.wait(seconds)
        self.plain.now += timedelta(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        self.books.sweep()

    @precondition(lambda self: self.orders)
    @rule(random=seeds)
    def send_again(self, random: Random) -> None:
        """1: the same outcome for ever, and nothing changes but what time has changed."""
        for command, outcome in random.choices([*self.orders.values(), *self.bulks.values()], k=8):
            (again,) = self.books.send(command)
            assert again.replayed
            assert answer(again)._replace(replayed=False, parts=()) == answer(outcome)._replace(parts=())
            assert str(again.error) == str(outcome.error)
            assert [str(part.error) for part in again.parts] == [str(part.error) for part in outcome.parts]

    @precondition(lambda self: self.orders)
    @rule(random=seeds)
    def send_other_content(self, random: Random) -> None:
        """1: an id that is used does not stand for anything else."""
        commands = RandomCommands(random)
        for command, _ in random.choices(list(self.orders.values()), k=8):
            new = with_fields(commands.order(), {"order_id": command.order_id})
            other = random.choice([new, altered(command, random), altered(command, random)])
            other = with_fields(other, {"maker": None})
            if content(other) != content(command):
                (outcome,) = self.books.send(other)
                assert isinstance(outcome.error, OrderMismatch), (command, other)
                assert not outcome.replayed

    @invariant()
    def promises_hold(self) -> None:
        check_promises(self.books)
        assert_same(self.books, self.plain)

    def _assert_expired_holds_are_ended(self, order: Order, outcome: Outcome) -> None:
        """An order frees what expired holds of either account reserved, whatever becomes of it."""
        if not outcome.replayed and not isinstance(outcome.error, OrderMismatch):
            accounts = (order.from_account, order.to_account)
            holds = [hold for hold in self.books.holds.values() if hold.payer in accounts]
            assert not [hold for hold in holds if expired_unseen(hold, self.books)]

    def _remember(self, command: Command, outcome: Outcome) -> None:
        """Keep what was recorded. An outcome that was refused before the id was used says nothing."""
        if outcome.error is not None and not isinstance(outcome.error, Decline):
            return
        if isinstance(command, OpenAccount | AddAccount):
            self.openings.append(command)
        elif isinstance(command, OrderCommand):
            self._remember_order(command, outcome)
        elif isinstance(command, AtomicBulk | NameBulk):
            self.bulks.setdefault(command.bulk_id, (command, outcome))
            for order, part in zip(command.orders, outcome.parts, strict=False):
                self._remember_order(order, part)

    def _remember_order(self, order: OrderCommand, outcome: Outcome) -> None:
        if order.order_id not in self.orders:
            self.orders[order.order_id] = order, outcome
            assert self.books.orders[order.order_id].made_by == (order.maker and order.maker.id)


def altered(command: OrderCommand, random: Random) -> OrderCommand:
    """Return the order with one field changed, left out or added."""
    name = random.choice([f.name for f in fields(command) if f.name not in NO_CONTENT])
    if name == "currency":
        return _in_currency(command, random.choice([None, "CNY", "JPY"]))
    values = _other_values(getattr(command, name), name)
    other = with_fields(command, {name: random.choice(values)})
    return _in_currency(other, getattr(command, "currency", None)) if name in ("payer", "payee") else other


def _in_currency(command: OrderCommand, currency: str | None) -> OrderCommand:
    """Return the order as the HTTP edge makes it if it is sent with this currency."""
    values: dict[str, object] = {"currency": currency}
    for name in ("payer", "payee"):
        party = getattr(command, name, None)
        if isinstance(party, UserCurrency | str):
            user_id = party if isinstance(party, str) else party.user_id
            values[name] = user_id if currency is None else UserCurrency(user_id, currency)
    return with_fields(command, values)


def _other_values(value: Any, name: str) -> list[Any]:
    match name:
        case "amount":
            more = [] if value is None else [Amount(value.digits + 1, value.decimals)]
            return [*more, Amount(7), Amount(1, 2)]
        case "payer" | "payee":
            return ["ann", "bob", "zoe", AccountId("ann-1"), AccountId("ann")]
        case "expires_in":
            return [timedelta(seconds=2), timedelta(days=7)]
        case "final":
            return [None, True, False]
        case "note" | "reference":
            return [None, "", "other"]
    return ["other"]


TestRulesAgainstModel = RulesAgainstModel.TestCase
TestRulesAgainstModel.settings = settings(max_examples=60, stateful_step_count=25)
