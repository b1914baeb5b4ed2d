"""A database of the ledger in memory: it tells the rules what they may know, and stores what they decide."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from myaccount.ledger.account_commands import Opening
from myaccount.ledger.changes import Change
from myaccount.ledger.commands import AtomicBulk, Command, NameBulk
from myaccount.ledger.decide import decide
from myaccount.ledger.opening_rules import KnownIds, Register, decide_openings
from myaccount.ledger.order_commands import OrderCommand
from myaccount.ledger.outcomes import Outcome
from myaccount.ledger.records import (
    HELD,
    Account,
    AccountChange,
    Bulk,
    DeclineRow,
    Entry,
    HoldState,
    OpenedAccount,
    OpenedUser,
    Order,
)
from myaccount.ledger.references import AccountId, AccountsOf, OutsideOf, Reference, UserCurrency
from myaccount.ledger.state import Known, State

from .random_commands import TEAMS

Row = TypeVar("Row")

# Of no zone, since all times of the database are UTC.
START = datetime(2026, 3, 1, 12)


class StoredBooks:
    """The tables, in memory."""

    def __init__(self) -> None:
        self.now = START
        self.accounts: dict[int, Account] = {}
        # Those that commands have opened.
        self.opened_users: dict[str, OpenedUser] = {}
        self.opened: dict[str, OpenedAccount] = {}
        self.orders: dict[str, Order] = {}
        self.entries: defaultdict[int, list[Entry]] = defaultdict(list)
        self.declines: defaultdict[int, list[DeclineRow]] = defaultdict(list)
        self.holds: dict[str, HoldState] = {}
        self.bulks: dict[str, Bulk] = {}
        self.log: list[AccountChange] = []
        self.told: list[Change] = []

    def open(self, account_id: str, user_id: str, currency: str = "CNY") -> int:
        """Open an account and, for the first one in its currency, the outside world's; return its key."""
        if self._key(OutsideOf(currency)) is None:
            self._add(Account(0, floor=None, currency=currency, account_id=f"outside {currency}"))
        return self._add(Account(0, currency=currency, account_id=account_id, user_id=user_id))

    def _add(self, account: Account) -> int:
        key = len(self.accounts) + 1
        self.accounts[key] = replace(account, id=key)
        return key

    def named(self, account_id: str) -> Account:
        return next(account for account in self.accounts.values() if account.account_id == account_id)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def send(self, *commands: Command) -> list[Outcome]:
        """Decide the batch and store what it changes, which nothing else has changed meanwhile."""
        opened = iter(self._open([command for command in commands if isinstance(command, Opening)]))
        others = [command for command in commands if not isinstance(command, Opening)]
        known = self.known(others)
        unchanged = deepcopy(known)
        outcomes, state = decide(others, known)
        assert known == unchanged
        self._store(state)
        decided = iter(outcomes)
        return [next(opened if isinstance(command, Opening) else decided) for command in commands]

    def _open(self, openings: Sequence[Opening]) -> list[Outcome]:
        accounts = {command.account_id for command in openings}
        known = KnownIds(
            users=_chosen(self.opened_users, {command.user_id for command in openings}),
            accounts=_chosen(self.opened, accounts),
            teams=TEAMS,
            currencies={account.currency for account in self.accounts.values() if account.user_id is None},
        )
        unchanged = deepcopy(known)
        outcomes, register = decide_openings(openings, known)
        assert known == unchanged
        self._store_opened(register)
        # Nothing is locked.
        assert not register.blocked
        return [outcome for outcome in outcomes if outcome is not None]

    def _store_opened(self, register: Register) -> None:
        new_users = {user.user_id: user for user in register.new_users}
        assert not new_users.keys() & self.opened_users.keys()
        assert not register.new_accounts.keys() & self.opened.keys()
        self.opened_users |= new_users
        self.opened |= register.new_accounts
        for currency in register.new_currencies:
            self._add(Account(0, floor=None, currency=currency, account_id=f"outside {currency}"))
        for account in register.new_accounts.values():
            user_id, currency = account.user_id, account.currency
            self._add(Account(0, currency=currency, account_id=account.account_id, user_id=user_id))
        self.told += register.changes

    def sweep(self) -> None:
        """End all holds that have expired, as the sweeper does."""
        due = {
            name: hold for name, hold in self.holds.items() if hold.status == HELD and hold.expires_at <= self.now
        }
        payers = {hold.payer: self.accounts[hold.payer] for hold in due.values()}
        _, state = decide((), Known(keys={}, accounts=payers, holds=due, now=self.now))
        self._store(state)

    def codes(self, *commands: Command) -> list[str | None]:
        """Return the code of each command's outcome, None for one that is done."""
        return [None if outcome.error is None else outcome.error.code for outcome in self.send(*commands)]

    def balance(self, account_id: str) -> int:
        return self.named(account_id).balance

    def known(self, commands: Sequence[Command]) -> Known:
        """Return what a batch of these commands may know, and no more."""
        orders = [order for command in commands for order in _orders_of(command)]
        targets = {order.target for order in orders if order.target} & self.orders.keys()
        references = {reference for command in commands for reference in command.references}
        keys = {r: key for r in references if (key := self._key(r)) is not None}
        locked = set(keys.values())
        for target in targets:
            locked |= {self.orders[target].from_account, self.orders[target].to_account}
        for currency in {self.accounts[key].currency for key in locked}:
            key = self._key(OutsideOf(currency))
            assert key is not None
            keys[OutsideOf(currency)] = key
            locked.add(key)
        users = {account.user_id for account in self.accounts.values() if account.user_id}
        due = {
            hold.order_id
            for hold in self.holds.values()
            if hold.status == HELD and hold.expires_at <= self.now and hold.payer in locked
        }
        bulk_ids = {command.bulk_id for command in commands if isinstance(command, AtomicBulk | NameBulk)}
        return Known(
            keys=keys,
            accounts={key: self.accounts[key] for key in locked},
            users=users.intersection(map(_user, references)),
            orders=_chosen(self.orders, {*targets, *(order.order_id for order in orders)}),
            holds=_chosen(self.holds, due | targets),
            bulks=_chosen(self.bulks, bulk_ids),
            now=self.now,
        )

    def _key(self, reference: Reference) -> int | None:
        match reference:
            case OutsideOf(currency):
                fits = {"user_id": None, "currency": currency}
            case AccountId(account_id):
                fits = {"account_id": account_id}
            case UserCurrency(user_id, currency):
                fits = {"user_id": user_id, "currency": currency}
            case str(user_id):
                fits = {"user_id": user_id}
            case AccountsOf():
                return None
        for key, account in self.accounts.items():
            if all(getattr(account, name) == value for name, value in fits.items()):
                return key
        return None

    def _store(self, state: State) -> None:
        for order in state.new_orders:
            assert order.order_id not in self.orders
            self.orders[order.order_id] = order
        for order_id, refunded in state.refunded.items():
            self.orders[order_id] = self.orders[order_id]._replace(refunded=refunded)
        for entry in state.new_entries:
            self.entries[entry.account].append(entry)
        for decline in state.new_declines:
            self.declines[decline.account].append(decline)
        for key, changed in state.changed_accounts.items():
            self.accounts[key] = replace(
                self.accounts[key],
                balance=changed.balance,
                held=changed.held,
                last_entry=changed.last_entry,
                last_decline=changed.last_decline,
            )
        for change in state.account_changes:
            values: dict[str, Any] = {change.setting: change.value}
            self.accounts[change.account] = replace(self.accounts[change.account], **values)
        assert not state.new_holds.keys() & self.holds.keys()
        assert state.changed_holds.keys() <= self.holds.keys()
        self.holds |= deepcopy(state.new_holds | state.changed_holds)
        for bulk in state.new_bulks:
            assert bulk.bulk_id not in self.bulks
            self.bulks[bulk.bulk_id] = bulk
        self.log += state.account_changes
        self.told += state.changes


def _orders_of(command: Command) -> tuple[OrderCommand, ...]:
    if isinstance(command, AtomicBulk):
        return command.orders
    return (command,) if isinstance(command, OrderCommand) else ()


def _user(reference: Reference) -> str | None:
    match reference:
        case str() as user_id:
            return user_id
        case UserCurrency(user_id, _):
            return user_id
    return None


def _chosen(rows: dict[str, Row], ids: Iterable[str]) -> dict[str, Row]:
    return {row_id: rows[row_id] for row_id in ids if row_id in rows}
