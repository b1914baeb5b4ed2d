"""The money rules, held to the promises over long random batches."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from myaccount.errors import RequestError, UserNotFound
from myaccount.ledger.commands import OUTSIDE_WORLD, Command, Recharge, Transfer
from myaccount.ledger.decide import DECLINED, POSTED, Account, Decision, Order, Outcome, decide
from myaccount.ledger.money import MAX_AMOUNT, MAX_BALANCE
from myaccount.ledger.refusals import BalanceTooLarge, InsufficientFunds, OrderMismatch, SameAccount

USERS = ["ann", "bob", "cem", "dee"]
# Dee may owe 5.00. Nobody opened an account for zoe.
FLOORS: dict[str, int | None] = {"ann": 0, "bob": 0, "cem": 0, "dee": -500, OUTSIDE_WORLD: None}

order_ids = st.integers(1, 40).map("o{}".format)
parties = st.sampled_from([*USERS, "zoe"])
amounts = st.one_of(st.integers(1, 300), st.sampled_from([1, MAX_AMOUNT]))
commands = st.one_of(
    st.builds(Recharge, order_ids, parties, amounts),
    st.builds(Transfer, order_ids, parties, parties, amounts),
)
batches = st.lists(st.lists(commands, max_size=30), max_size=8)


class Ledger:
    """What a database would keep between batches."""

    def __init__(self) -> None:
        self.accounts = {
            party: Account(key, 0, floor) for key, (party, floor) in enumerate(FLOORS.items(), start=1)
        }
        self.orders: dict[str, Order] = {}

    def post(self, batch: Sequence[Command]) -> Decision:
        decision = decide(batch, self.accounts, self.orders)
        for party, account in self.accounts.items():
            self.accounts[party] = account._replace(balance=decision.balances.get(account.id, account.balance))
        self.orders |= {order.order_id: order for order in decision.orders}
        return decision


def _seen(outcome: Outcome) -> tuple[type[RequestError] | None, str, bool]:
    return (type(outcome.error) if outcome.error else None, str(outcome.error), outcome.replayed)


@given(batches)
def test_the_promises_hold_after_every_batch(history: list[list[Command]]) -> None:
    ledger = Ledger()
    for batch in history:
        before = dict(ledger.orders)
        decision = ledger.post(batch)
        balances = {account.id: account.balance for account in ledger.accounts.values()}

        # 2: money is only moved, and each balance is what came in less what went out.
        assert sum(balances.values()) == 0
        moved: Counter[int] = Counter()
        for order in ledger.orders.values():
            if order.status == POSTED:
                moved[order.to_account] += order.amount
                moved[order.from_account] -= order.amount
        assert balances == {key: moved[key] for key in balances}
        # 3: no balance passes its floor.
        for account in ledger.accounts.values():
            assert account.floor is None or account.balance >= account.floor
        # 1: an order, once decided, is never decided again.
        assert not before.keys() & {order.order_id for order in decision.orders}
        assert len({order.order_id for order in decision.orders}) == len(decision.orders)
        # 5: one outcome a command; only what was posted or declined leaves a row.
        assert len(decision.outcomes) == len(batch)
        fresh = [outcome for outcome in decision.outcomes if not outcome.replayed]
        declines = [o for o in fresh if isinstance(o.error, InsufficientFunds | BalanceTooLarge)]
        assert len([o for o in fresh if o.error is None]) == len(
            [o for o in decision.orders if o.status == POSTED]
        )
        assert len(declines) == len([order for order in decision.orders if order.status == DECLINED])
        # 6: amounts are integers, and stay what was asked for.
        assert {order.order_id: order.amount for order in decision.orders}.items() <= {
            (command.order_id, command.amount) for command in batch
        }


@given(st.lists(commands, max_size=60))
def test_a_batch_has_the_outcomes_of_its_commands_one_by_one(batch: list[Command]) -> None:
    at_once, one_by_one = Ledger(), Ledger()
    together = at_once.post(batch)
    alone = [one_by_one.post([command]) for command in batch]
    assert list(map(_seen, together.outcomes)) == [_seen(decision.outcomes[0]) for decision in alone]
    assert together.orders == [order for decision in alone for order in decision.orders]
    assert (at_once.accounts, at_once.orders) == (one_by_one.accounts, one_by_one.orders)


@given(st.lists(commands, max_size=30))
def test_a_repeated_batch_replays_every_recorded_outcome_and_changes_nothing(
    batch: list[Command],
) -> None:
    ledger = Ledger()
    first = ledger.post(batch)
    accounts = dict(ledger.accounts)
    again = ledger.post(batch)
    assert ledger.accounts == accounts
    for command, outcome, repeated in zip(batch, first.outcomes, again.outcomes, strict=True):
        if command.order_id in ledger.orders:
            # The first command of an id counts; one with other content is refused both times.
            assert _seen(repeated)[:2] == _seen(outcome)[:2] or isinstance(repeated.error, OrderMismatch)
            assert repeated.replayed or isinstance(repeated.error, OrderMismatch)
        else:
            assert _seen(repeated) == _seen(outcome)


def _one(ledger: Ledger, command: Command) -> Outcome:
    return ledger.post([command]).outcomes[0]


def test_a_transfer_down_to_the_floor_is_posted_and_one_below_it_is_declined() -> None:
    ledger = Ledger()
    assert _one(ledger, Recharge("r", "ann", 100)) == Outcome()
    assert isinstance(_one(ledger, Transfer("t1", "ann", "bob", 101)).error, InsufficientFunds)
    assert _one(ledger, Transfer("t2", "ann", "bob", 100)) == Outcome()
    assert _one(ledger, Transfer("t3", "dee", "bob", 500)) == Outcome()
    assert isinstance(_one(ledger, Transfer("t4", "dee", "bob", 1)).error, InsufficientFunds)
    assert ledger.orders["t1"].status == DECLINED
    assert (ledger.orders["t2"].from_balance, ledger.orders["t2"].to_balance) == (0, 100)


def test_a_decline_stays_a_decline_even_if_the_balance_suffices_later() -> None:
    ledger = Ledger()
    transfer = Transfer("t", "ann", "bob", 100)
    first = _one(ledger, transfer)
    _one(ledger, Recharge("r", "ann", 100))
    again = _one(ledger, transfer)
    assert again.replayed
    assert str(again.error) == str(first.error)


def test_an_order_id_with_any_other_content_is_a_mismatch() -> None:
    ledger = Ledger()
    _one(ledger, Recharge("r", "ann", 100))
    _one(ledger, Transfer("t", "ann", "bob", 10))
    others: list[Command] = [
        Transfer("t", "ann", "bob", 11),
        Transfer("t", "ann", "cem", 10),
        Transfer("t", "cem", "bob", 10),
        Transfer("t", "bob", "ann", 10),
        Transfer("t", "ann", "zoe", 10),
        Recharge("t", "bob", 10),
        Recharge("r", "ann", 101),
    ]
    for command in others:
        assert isinstance(_one(ledger, command).error, OrderMismatch), command
    assert len(ledger.orders) == 2


def test_refusals_name_the_field_and_leave_nothing() -> None:
    ledger = Ledger()
    cases: list[tuple[Command, type[RequestError], str | None]] = [
        (Recharge("r", "zoe", 1), UserNotFound, "userId"),
        (Transfer("t", "zoe", "ann", 1), UserNotFound, "fromuserId"),
        (Transfer("t", "ann", "zoe", 1), UserNotFound, "touserId"),
        (Transfer("t", "ann", "ann", 1), SameAccount, None),
    ]
    for command, error, field in cases:
        outcome = _one(ledger, command)
        assert isinstance(outcome.error, error)
        assert outcome.error.field == field
    assert ledger.orders == {}


def test_a_balance_never_exceeds_what_the_database_can_store() -> None:
    full = {OUTSIDE_WORLD: Account(1, 1 - MAX_BALANCE, None), "ann": Account(2, MAX_BALANCE - 1)}
    decision = decide([Recharge("r1", "ann", 1), Recharge("r2", "ann", 1)], full, {})
    assert decision.outcomes[0] == Outcome()
    assert isinstance(decision.outcomes[1].error, BalanceTooLarge)
    assert decision.balances == {1: -MAX_BALANCE, 2: MAX_BALANCE}


def test_a_transfer_never_makes_the_payees_balance_too_large() -> None:
    accounts = {"ann": Account(2, 10), "bob": Account(3, MAX_BALANCE - 1)}
    decision = decide([Transfer("t1", "ann", "bob", 1), Transfer("t2", "ann", "bob", 1)], accounts, {})
    assert decision.outcomes[0] == Outcome()
    assert isinstance(decision.outcomes[1].error, BalanceTooLarge)
    assert decision.balances == {2: 9, 3: MAX_BALANCE}
