"""The rule of makers: which scope an order needs."""

from ..errors import NotAllowed
from .makers import MONEY_IN, MONEY_MOVE, MONEY_OUT
from .order_commands import Capture, Hold, OrderCommand, Recharge, Refund, Withdraw
from .state import State


def check_maker(command: OrderCommand, state: State) -> None:
    """Raise NotAllowed if the order's maker lacks the scope for the money that it moves."""
    maker = command.maker
    if maker is not None:
        scope = _needed_scope(command, state)
        if scope is not None and scope not in maker.scopes:
            raise NotAllowed(f"This order needs the scope {scope}.")


def _needed_scope(command: OrderCommand, state: State) -> str | None:
    """Return the scope, or None if that depends on an earlier order that is not there."""
    match command:
        case Recharge():
            return MONEY_IN
        case Withdraw() | Hold(payee=None):
            return MONEY_OUT
        case Refund() | Capture():
            earlier = state.orders.get(command.target)
            if earlier is None:
                return None
            # That payee pays the refund, and gets what is captured.
            if state.account(earlier.to_account).user_id is not None:
                return MONEY_MOVE
            return MONEY_IN if isinstance(command, Refund) else MONEY_OUT
    return MONEY_MOVE
