"""The changes that an event carries: what was committed, for messages, callbacks and live streams."""

from typing import Final, NamedTuple

from .account_commands import OpenAccount, Opening

ACCOUNT_OPENED: Final = "account_opened"
ACCOUNT_ADDED: Final = "account_added"
ACCOUNT_FROZEN: Final = "account_frozen"
ACCOUNT_CLOSED: Final = "account_closed"
LIMIT_CHANGED: Final = "limit_changed"
RECHARGE: Final = "recharge"
TRANSFER: Final = "transfer"
WITHDRAW: Final = "withdraw"
REFUND: Final = "refund"
HOLD: Final = "hold"
CAPTURE: Final = "capture"
RELEASE: Final = "release"
EXTEND: Final = "extend"
HOLD_CAPTURED: Final = "hold_captured"
HOLD_RELEASED: Final = "hold_released"
HOLD_EXPIRED: Final = "hold_expired"
HOLD_EXTENDED: Final = "hold_extended"
DECLINE: Final = "decline"

# What each type of order is called.
ORDER_NAMES: Final = {
    "01": RECHARGE,
    "02": TRANSFER,
    "03": WITHDRAW,
    "04": REFUND,
    "05": HOLD,
    "06": CAPTURE,
    "07": RELEASE,
    "08": EXTEND,
}
ACCOUNT_CHANGES: Final = (ACCOUNT_OPENED, ACCOUNT_ADDED, ACCOUNT_FROZEN, ACCOUNT_CLOSED, LIMIT_CHANGED)
# The accounts have an entry or a decline of such a change, or were opened by it. From these, their users' inboxes
# get the messages when they are read and, at the latest, after so many entries of an account, or so many declines.
CATCH_UP_CHANGES: Final = frozenset(
    (ACCOUNT_OPENED, ACCOUNT_ADDED, RECHARGE, TRANSFER, WITHDRAW, REFUND, CAPTURE, DECLINE)
)
CATCH_UP_AFTER: Final = 256
HOLD_ENDS: Final = (HOLD_CAPTURED, HOLD_RELEASED, HOLD_EXPIRED)
CHANGE_TYPES: Final = (
    *ACCOUNT_CHANGES,
    RECHARGE,
    TRANSFER,
    WITHDRAW,
    REFUND,
    HOLD,
    CAPTURE,
    HOLD_EXTENDED,
    *HOLD_ENDS,
    DECLINE,
)


class Change(NamedTuple):
    """One change. `source_id` is the order's id or, for a change of an account, the account's.

    The parties are user ids, or the outside world. Amounts and balances, which are those after the change, are in
    the currency's smallest unit. The entries are the numbers of the two accounts' last entries after the change:
    the order's own, if it moved money. An account's later change has a higher number, or the same if it moved no
    money. The declines are the numbers of their last declines likewise. Events of earlier versions lack the last
    fields.
    """

    change_type: str
    source_id: str
    payer: str
    payee: str
    amount: int = 0
    from_balance: int = 0
    to_balance: int = 0
    reason: str | None = None
    from_entry: int | None = None
    to_entry: int | None = None
    currency: str = "CNY"
    # None for the outside world, and in events of earlier versions.
    from_account_id: str | None = None
    to_account_id: str | None = None
    # What kind of order it is, as in ORDER_NAMES.
    order_name: str | None = None
    # The order that a refund gives back, or the hold of a capture.
    target: str | None = None
    note: str | None = None
    reference: str | None = None
    # How much of the payer's balance is held after the change.
    held: int | None = None
    # When a hold ends, as ISO 8601.
    expires_at: str | None = None
    # What an account's setting was set to; a limit is in the smallest unit.
    value: str | int | None = None
    # Unique for each change of an account.
    change_id: str | None = None
    # Whether the accounts' users get their messages by catching up, and not from this. Events of versions that
    # made them from the events lack this field.
    inboxes_catch_up: bool = False
    from_decline: int = 0
    to_decline: int = 0


def opening(command: Opening) -> Change:
    """Return the change of an account that was opened or added."""
    change_type = ACCOUNT_OPENED if isinstance(command, OpenAccount) else ACCOUNT_ADDED
    return opened(change_type, command.account_id, command.user_id, command.currency)


def opened(change_type: str, account_id: str, user_id: str, currency: str) -> Change:
    """Return the change of an account that was opened or added. It counts as the account's entry 0."""
    return Change(
        change_type,
        account_id,
        user_id,
        user_id,
        from_entry=0,
        to_entry=0,
        currency=currency,
        from_account_id=account_id,
        to_account_id=account_id,
        inboxes_catch_up=True,
    )
