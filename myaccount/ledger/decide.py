"""All money rules, as one pure function of a whole batch. Openings are decided before: opening_rules.py."""

from collections.abc import Iterable
from typing import assert_never

from .account_commands import Close, Freeze, Limit
from .account_rules import decide_account
from .bulk_rules import decide_bulk, name_bulk
from .commands import AtomicBulk, MoneyCommand, NameBulk
from .hold_rules import end_expired_holds
from .order_commands import Capture, Extend, Hold, Recharge, Refund, Release, Transfer, Withdraw
from .order_rules import decide_order
from .outcomes import Outcome
from .state import Known, State


def decide(commands: Iterable[MoneyCommand], known: Known) -> tuple[list[Outcome], State]:
    """Decide a batch in order, as if each command came alone; return the outcomes, and what to write.

    Holds that have expired end first, and alone if there are no commands. A declined order is recorded; a refused
    one leaves nothing (promise 5). What is known is not changed.
    """
    state = State(known)
    end_expired_holds(state, known.holds.values())
    outcomes = []
    for command in commands:
        outcome, state = _decide(command, state)
        outcomes.append(outcome)
    return outcomes, state


def _decide(command: MoneyCommand, state: State) -> tuple[Outcome, State]:
    match command:
        case Transfer() | Recharge() | Withdraw() | Refund() | Hold() | Capture() | Release() | Extend():
            return decide_order(command, state), state
        case AtomicBulk():
            return decide_bulk(command, state)
        case NameBulk():
            return name_bulk(command, state), state
        case Freeze() | Close() | Limit():
            return decide_account(command, state), state
        case _:
            assert_never(command)
