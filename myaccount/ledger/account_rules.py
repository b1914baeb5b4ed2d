"""The rules of accounts: freezing, closing, and the least balance."""

from typing import assert_never

from ..errors import RequestError
from .account_commands import AccountCommand, Close, Freeze, Limit
from .changes import ACCOUNT_CLOSED, ACCOUNT_FROZEN, LIMIT_CHANGED, Change
from .outcomes import Outcome
from .parties import find_account, units_of
from .records import CLOSED, Account, AccountChange, AccountSetting, AuditRow
from .refusals import AccountClosed, AccountInUse, LimitInUse
from .state import State


def decide_account(command: AccountCommand, state: State) -> Outcome:
    """Decide a change of an account. If the account is in that state already, nothing changes.

    Nor if the same change was made before: its answer was lost, and since then another may have followed.
    """
    if command.change_id in state.made_changes:
        return Outcome()
    try:
        account = find_account(command.account, "account", None, state)
        match command:
            case Freeze():
                _freeze(command, account, state)
            case Close():
                _close(command, account, state)
            case Limit():
                _limit(command, account, state)
            case _:
                assert_never(command)
    except RequestError as error:
        return Outcome(error)
    return Outcome()


def _freeze(command: Freeze, account: Account, state: State) -> None:
    if account.frozen == command.frozen:
        return
    _check_open(account)
    account.frozen = command.frozen
    _record(command, account, state, ACCOUNT_FROZEN, "frozen", command.frozen)


def _close(command: Close, account: Account, state: State) -> None:
    if account.status == CLOSED:
        return
    if account.balance or account.held:
        raise AccountInUse(
            f"Account {account.account_id!r} has a balance or a hold. Move the money out first.", field="account"
        )
    account.status = CLOSED
    _record(command, account, state, ACCOUNT_CLOSED, "status", CLOSED)


def _limit(command: Limit, account: Account, state: State) -> None:
    floor = 0 if command.credit is None else -units_of(command.credit, account, "floor")
    if account.floor == floor:
        return
    _check_open(account)
    if account.balance - account.held < floor:
        raise LimitInUse("The available balance would be below this limit now.", field="floor")
    account.floor = floor
    _record(command, account, state, LIMIT_CHANGED, "floor", floor)


def _check_open(account: Account) -> None:
    if account.status == CLOSED:
        raise AccountClosed(f"Account {account.account_id!r} is closed.", field="account")


def _record(
    command: AccountCommand,
    account: Account,
    state: State,
    change_type: str,
    setting: AccountSetting,
    value: str | int,
) -> None:
    made_by = None if command.doer is None else command.doer.made_by
    change = AccountChange(command.change_id, account.id, setting, value, command.reason, made_by)
    state.account_changes.append(change)
    if command.doer is not None:
        state.audit.append(AuditRow(command.doer, change_type, "account", account.account_id))
    state.changed_accounts[account.id] = account
    state.changes.append(
        Change(
            change_type,
            account.account_id,
            account.user_id or "",
            account.user_id or "",
            from_balance=account.balance,
            to_balance=account.balance,
            reason=command.reason,
            from_entry=account.last_entry,
            to_entry=account.last_entry,
            from_decline=account.last_decline,
            to_decline=account.last_decline,
            currency=account.currency,
            from_account_id=account.account_id,
            to_account_id=account.account_id,
            value=value,
            change_id=command.change_id,
        )
    )
