"""All money rules, as one pure function of a whole batch."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from ..errors import RequestError, UserNotFound
from .commands import Command
from .money import MAX_BALANCE
from .refusals import BalanceTooLarge, InsufficientFunds, OrderMismatch, SameAccount

POSTED: Final = "posted"
DECLINED: Final = "declined"


class Account(NamedTuple):
    """An account as the database has it, locked. If `floor` is None, there is no lower limit of the balance."""

    id: int
    balance: int
    floor: int | None = 0
    # The number of its last entry. Each posted order makes one entry in each of its two accounts.
    last_entry: int = 0


class Order(NamedTuple):
    """One row of the journal. The balances are those after it; a declined order leaves them unchanged."""

    order_id: str
    order_type: str
    from_account: int
    to_account: int
    amount: int
    from_balance: int
    to_balance: int
    status: Literal["posted", "declined"] = POSTED
    reason: str | None = None


class Outcome(NamedTuple):
    """The outcome of one command: `error` is None if the money moved.

    `replayed` means that it is the outcome of an earlier command with the same order id.
    """

    error: RequestError | None = None
    replayed: bool = False


class Decision(NamedTuple):
    """The outcomes, one a command; the orders to insert; and the balances to write, by account key."""

    outcomes: list[Outcome]
    orders: list[Order]
    balances: dict[int, int]


def decide(
    commands: Iterable[Command],
    accounts: Mapping[str, Account],
    earlier_orders: Mapping[str, Order],
) -> Decision:
    """Decide a batch in order, as if each command came alone.

    `accounts` has the account of each party that exists, and `earlier_orders` the order of each order id that was
    used before. A declined command is written as an order; a refused one leaves nothing (promise 5).
    """
    known_orders = dict(earlier_orders)
    decision = Decision([], [], {})
    for command in commands:
        payer, payee = accounts.get(command.payer), accounts.get(command.payee)
        earlier = known_orders.get(command.order_id)
        if earlier is not None:
            decision.outcomes.append(_replay(command, payer, payee, earlier))
        elif payer is None or payee is None:
            decision.outcomes.append(Outcome(_missing(command, payer)))
        elif payer.id == payee.id:
            decision.outcomes.append(Outcome(SameAccount("The payer and the payee must be two accounts.")))
        else:
            order = _order(command, payer, payee, decision.balances)
            known_orders[command.order_id] = order
            decision.orders.append(order)
            decision.outcomes.append(Outcome(_decline(order)))
            if order.status == POSTED:
                decision.balances[payer.id] = order.from_balance
                decision.balances[payee.id] = order.to_balance
    return decision


def _order(command: Command, payer: Account, payee: Account, balances: Mapping[int, int]) -> Order:
    """Return the order: posted if both balances stay within their limits, else declined, with the reason."""
    from_balance = balances.get(payer.id, payer.balance)
    to_balance = balances.get(payee.id, payee.balance)
    order = Order(
        command.order_id,
        command.order_type,
        payer.id,
        payee.id,
        command.amount,
        from_balance - command.amount,
        to_balance + command.amount,
    )
    floor = -MAX_BALANCE if payer.floor is None else payer.floor
    if order.from_balance < floor:
        reason = BalanceTooLarge.code if payer.floor is None else InsufficientFunds.code
    elif order.to_balance > MAX_BALANCE:
        reason = BalanceTooLarge.code
    else:
        return order
    return order._replace(status=DECLINED, reason=reason, from_balance=from_balance, to_balance=to_balance)


def _replay(command: Command, payer: Account | None, payee: Account | None, earlier: Order) -> Outcome:
    """Return the first outcome again if the content is the same (promise 1), else an OrderMismatch."""
    same = (
        payer is not None
        and payee is not None
        and earlier.from_account == payer.id
        and earlier.to_account == payee.id
        and earlier.order_type == command.order_type
        and earlier.amount == command.amount
    )
    if not same:
        return Outcome(
            OrderMismatch("Another order was sent with this id. Use a new id for a new order.", field="orderId")
        )
    return Outcome(_decline(earlier), replayed=True)


def _missing(command: Command, payer: Account | None) -> UserNotFound:
    party, field = (command.payer, command.payer_field) if payer is None else (command.payee, command.payee_field)
    return UserNotFound(f"No account was opened for user {party!r}.", field=field)


def _decline(order: Order) -> RequestError | None:
    """Return a declined order's error. It is made from the row alone, so that a replay returns the same."""
    if order.reason is None:
        return None
    if order.reason == InsufficientFunds.code:
        return InsufficientFunds("The payer's balance would go below its floor. No money moved.", field="amount")
    return BalanceTooLarge("A balance would be more than an account can hold. No money moved.", field="amount")
