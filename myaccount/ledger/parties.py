"""Which accounts an order is about, and whether they may pay and receive."""

from ..errors import InvalidRequest, RequestError, UserNotFound
from .currencies import CURRENCIES
from .money import MAX_BALANCE, Amount
from .records import CLOSED, Account
from .references import AccountId, OutsideOf, Party, UserCurrency
from .refusals import (
    AccountClosed,
    AccountFrozen,
    AccountNotFound,
    BalanceTooLarge,
    CurrencyMismatch,
    InsufficientFunds,
    SameAccount,
)
from .state import State


def find_account(party: Party, role: str, currency: str | None, state: State) -> Account:
    """Return the party's account. `role` is the command's attribute, and `currency` what the command says.

    Raises UserNotFound, AccountNotFound and CurrencyMismatch.
    """
    key = state.keys.get(party)
    if key is None:
        raise _not_found(party, role, state)
    account = state.account(key)
    if currency is not None and account.currency != currency:
        raise CurrencyMismatch(f"The account's currency is {account.currency}, not {currency}.", field="currency")
    return account


def find_outside(account: Account, state: State) -> Account:
    """Return the outside world's account in the currency of this one."""
    return state.account(state.keys[OutsideOf(account.currency)])


def check_pair(payer: Account, payee: Account) -> None:
    """Raise SameAccount or CurrencyMismatch if no order can ever move money from one to the other."""
    if payer.id == payee.id:
        raise SameAccount("The payer and the payee must be two accounts.")
    if payer.currency != payee.currency:
        raise CurrencyMismatch(
            f"The payer's currency is {payer.currency}, the payee's {payee.currency}.", field="currency"
        )


def units_of(amount: Amount, account: Account, role: str = "amount") -> int:
    """Return the amount in the smallest unit of the account's currency. Raises InvalidRequest."""
    try:
        return amount.units(CURRENCIES[account.currency])
    except ValueError as error:
        raise InvalidRequest(f"The {role} {error}.", field=role) from None


def why_not_pay(payer: Account, amount: int) -> str | None:
    """Return the reason to decline if the account cannot pay the amount."""
    if payer.status == CLOSED:
        return AccountClosed.code
    if payer.frozen in ("debits", "all"):
        return AccountFrozen.code
    return why_not_covered(payer, amount)


def why_not_covered(payer: Account, amount: int) -> str | None:
    """Return the reason to decline if the available balance would pass its floor (promise 3)."""
    if payer.floor is None:
        return BalanceTooLarge.code if payer.balance - amount < -MAX_BALANCE else None
    return InsufficientFunds.code if payer.balance - payer.held - amount < payer.floor else None


def why_not_receive(payee: Account, amount: int, *, owed: bool = False) -> str | None:
    """Return the reason to decline if the account cannot take the amount.

    What is `owed` to it, as a refund is, it takes even if its credits are frozen.
    """
    if payee.status == CLOSED:
        return AccountClosed.code
    if payee.frozen == "all" or (payee.frozen == "credits" and not owed):
        return AccountFrozen.code
    return BalanceTooLarge.code if payee.balance + amount > MAX_BALANCE else None


def _not_found(party: Party, role: str, state: State) -> RequestError:
    match party:
        case AccountId(account_id):
            return AccountNotFound(f"There is no account {account_id!r}.", field=role)
        case UserCurrency(user_id, currency) if user_id in state.users:
            return AccountNotFound(f"User {user_id!r} has no account in {currency}.", field=role)
        case UserCurrency(user_id, _):
            return UserNotFound(f"No account was opened for user {user_id!r}.", field=role)
    return UserNotFound(f"No account was opened for user {party!r}.", field=role)
