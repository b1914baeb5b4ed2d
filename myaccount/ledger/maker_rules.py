"""The rule of makers: which scope an order needs."""

from collections.abc import Mapping

from ..errors import NotAllowed
from .makers import MONEY_IN, MONEY_MOVE, MONEY_OUT
from .order_commands import Capture, Hold, OrderCommand, Recharge, Refund, Transfer, Withdraw
from .state import State


def check_maker(command: OrderCommand, state: State) -> None:
    """Raise NotAllowed if the order's maker lacks the scope for the money that it moves."""
    maker = command.maker
    if maker is not None:
        scope = _needed_scope(command, state)
        if scope is not None and scope not in maker.scopes:
            raise NotAllowed(f"This order needs the scope {scope}.")


def scope_by_orders(order: OrderCommand, others: Mapping[str, OrderCommand]) -> str | None:
    """Return the scope that an order needs, as far as it and other orders that are sent with it tell.

    None if that depends on an order that was sent before.
    """
    if not isinstance(order, (Refund, Capture)):
        return _own_scope(order)
    target = others.get(order.target)
    if isinstance(order, Refund) and isinstance(target, Capture):
        # Who gets its money stands in the hold.
        target = others.get(target.target)
        target = target if isinstance(target, Hold) else None
    return None if target is None else _scope_about(order, to_user=_own_scope(target) != MONEY_OUT)


def _needed_scope(command: OrderCommand, state: State) -> str | None:
    """Return the scope, or None if that depends on an earlier order that is not there."""
    if not isinstance(command, (Refund, Capture)):
        return _own_scope(command)
    earlier = state.orders.get(command.target)
    if earlier is None:
        return None
    return _scope_about(command, to_user=state.account(earlier.to_account).user_id is not None)


def _own_scope(order: OrderCommand) -> str:
    """Return the scope of an order whose parties it names itself."""
    # Transfers come first: most orders are.
    if isinstance(order, Transfer):
        return MONEY_MOVE
    if isinstance(order, Recharge):
        return MONEY_IN
    to_outside = isinstance(order, Withdraw) or (isinstance(order, Hold) and order.payee is None)
    return MONEY_OUT if to_outside else MONEY_MOVE


def _scope_about(order: Refund | Capture, *, to_user: bool) -> str:
    """Return the scope of an order about another, whose payee pays the refund, and gets what is captured."""
    if to_user:
        return MONEY_MOVE
    return MONEY_IN if isinstance(order, Refund) else MONEY_OUT
