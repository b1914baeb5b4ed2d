"""The rules of bulks: all orders or none, and one bulk id for one list of orders."""

from ..errors import NotAllowed, RequestError
from .commands import AtomicBulk, NameBulk
from .maker_rules import check_maker
from .order_commands import Hold, OrderCommand, Refund
from .order_rules import REFUNDABLE, decide_order
from .outcomes import DONE, Outcome
from .parties import units_of
from .recording import order_row, record
from .records import DECLINED, Bulk, Order
from .refusals import BulkDeclined, Decline, OrderMismatch, decline_error
from .state import State


def name_bulk(command: NameBulk, state: State) -> Outcome:
    """Take the bulk's id for this content, or find that it was taken for the same."""
    bulk = Bulk(command.bulk_id, command.fingerprint)
    earlier = _earlier(bulk, state)
    if earlier is not None:
        return earlier
    state.add_bulk(bulk)
    return DONE


def decide_bulk(command: AtomicBulk, state: State) -> tuple[Outcome, State]:
    """Decide all orders on a copy of the state; return the outcome, and the copy if all are done, else the state.

    If one is refused, nothing is recorded. If one is declined, all are recorded as declined.
    """
    for place, order in enumerate(command.orders):
        try:
            check_maker(order, state)
        except NotAllowed as refused:
            return Outcome(refused, failed=place), state
    bulk = Bulk(command.bulk_id, command.fingerprint)
    earlier = _earlier(bulk, state)
    if earlier is not None:
        return _replay(command, state) if earlier.replayed else earlier, state
    for place, order in enumerate(command.orders):
        if order.order_id in state.orders:
            return Outcome(_used(order), failed=place), state
    decided = state.fork()
    outcomes, failed = _decide_all(command, decided)
    error = None if failed is None else outcomes[failed].error
    if error is not None and not isinstance(error, Decline):
        return Outcome(error, failed=failed), state
    if failed is None:
        decided.add_bulk(bulk)
        return Outcome(parts=tuple(outcomes)), decided
    state.add_bulk(bulk)
    return _decline_all(command, failed, decided=decided, state=state), state


def _decide_all(command: AtomicBulk, state: State) -> tuple[list[Outcome], int | None]:
    """Decide the orders up to the first that is declined, and look whether any other would be refused.

    Return the outcomes, and the place of the order that decides the bulk: refused or, else, declined first.
    """
    outcomes: list[Outcome] = []
    declined = None
    for place, order in enumerate(command.orders):
        about = _declined_target(order, command.bulk_id, state)
        outcome = decide_order(order, state) if about is None else _decline_with(order, about, state)
        outcomes.append(outcome)
        if outcome.error is not None and not isinstance(outcome.error, Decline):
            return outcomes, place
        if outcome.error is not None and declined is None:
            declined = place
    return outcomes, declined


def _decline_all(command: AtomicBulk, failed: int, *, decided: State, state: State) -> Outcome:
    """Record each order as declined: the one at `failed` with its reason, the others with the bulk's."""
    parts = []
    for place, order in enumerate(command.orders):
        row = decided.orders[order.order_id]
        reason = row.reason if place == failed else BulkDeclined.code
        payer, payee = state.account(row.from_account), state.account(row.to_account)
        record(row._replace(status=DECLINED, reason=reason, refunded=0), payer, payee, state)
        parts.append(Outcome(decline_error(reason)))
    return Outcome(parts[failed].error, parts=tuple(parts), failed=failed)


def _replay(command: AtomicBulk, state: State) -> Outcome:
    """Return the bulk's outcome again, from the rows of its orders."""
    parts = [
        Outcome(decline_error(state.orders[order.order_id].reason), replayed=True) for order in command.orders
    ]
    for place, part in enumerate(parts):
        if part.error is not None and not isinstance(part.error, BulkDeclined):
            return Outcome(part.error, replayed=True, parts=tuple(parts), failed=place)
    return Outcome(replayed=True, parts=tuple(parts))


def _earlier(bulk: Bulk, state: State) -> Outcome | None:
    """Return None if the bulk's id is free, else whether it was taken for the same content."""
    taken = state.bulks.get(bulk.bulk_id)
    if taken is None:
        return None
    if taken != bulk:
        return Outcome(
            OrderMismatch("Another bulk was sent with this id. Use a new id for a new bulk.", field="bulk_id")
        )
    return Outcome(replayed=True)


def _used(order: OrderCommand) -> OrderMismatch:
    return OrderMismatch(
        f"Order {order.order_id!r} was sent before, and not in this bulk. Use a new id for a new order.",
        field="order_id",
    )


def _declined_target(order: OrderCommand, bulk_id: str, state: State) -> Order | None:
    """Return the order that this one is about, if it is of the right kind and was declined with this bulk."""
    target = state.orders.get(order.target or "")
    if target is None or target.status != DECLINED or target.bulk_id != bulk_id:
        return None
    kinds = REFUNDABLE if isinstance(order, Refund) else (Hold.order_type,)
    return target if target.order_type in kinds else None


def _decline_with(order: OrderCommand, target: Order, state: State) -> Outcome:
    """Decline the order because the one that it is about was declined, unless its amount is refused."""
    payer, payee = state.account(target.from_account), state.account(target.to_account)
    if isinstance(order, Refund):
        payer, payee = payee, payer
    sent = getattr(order, "amount", None)
    try:
        check_maker(order, state)
        amount = target.amount if sent is None else units_of(sent, payer)
    except RequestError as error:
        return Outcome(error)
    row = order_row(order, payer, payee, amount, BulkDeclined.code, target.order_id)
    record(row, payer, payee, state)
    return Outcome(decline_error(BulkDeclined.code))
