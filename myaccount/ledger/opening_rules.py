"""The rules of openings: which ids are taken, also by an earlier opening of the batch, and what is made."""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ..errors import AccountExists, RequestError, TeamNotFound, UserExists, UserNotFound
from .account_commands import AddAccount, OpenAccount, Opening
from .changes import Change, opening
from .outcomes import DONE, Outcome
from .records import OpenedAccount, OpenedUser
from .references import Reference, TeamRow, UserRow

_LEAST_TIME: Final = timedelta(microseconds=1)


@dataclass(slots=True, kw_only=True)
class KnownIds:
    """What the database has of all that the openings name.

    `users` and `accounts` are by their ids. `currencies` have an outside world's account. `locked` are the rows
    that another transaction holds, so that they cannot be used now.
    """

    users: Mapping[str, OpenedUser]
    accounts: Mapping[str, OpenedAccount]
    teams: Set[str]
    currencies: Set[str]
    locked: Set[Reference] = frozenset()


class Register:
    """The users and accounts, with those that the openings decided so far make. What is known is never changed."""

    def __init__(self, known: KnownIds) -> None:
        self.users = dict(known.users)
        self.accounts = dict(known.accounts)
        self.teams = known.teams
        self.locked = known.locked
        self._currencies = set(known.currencies)
        # To make. The outside world's accounts are made first: by currency, when.
        self.new_currencies: dict[str, datetime] = {}
        self.new_users: list[OpenedUser] = []
        self.new_accounts: dict[str, OpenedAccount] = {}
        # To tell, in order.
        self.changes: list[Change] = []
        # What there is not yet, since its opening waits for a locked row.
        self.awaited: set[Reference] = set()

    @property
    def blocked(self) -> set[Reference]:
        """All that cannot be decided about now."""
        return self.awaited.union(self.locked)

    def make(self, command: Opening, user: OpenedUser, account: OpenedAccount) -> None:
        if command.user_id not in self.users:
            self.users[user.user_id] = user
            self.new_users.append(user)
        self.accounts[account.account_id] = self.new_accounts[account.account_id] = account
        if account.currency not in self._currencies:
            self._currencies.add(account.currency)
            self.new_currencies[account.currency] = account.created_at
        self.changes.append(opening(command))


def decide_openings(openings: Iterable[Opening], known: KnownIds) -> tuple[list[Outcome | None], Register]:
    """Decide a batch's openings in order; return the outcomes, and what to make.

    The outcome is None if an opening waits for a locked row, or for another opening that does. A refused one makes
    nothing (promise 5).
    """
    register = Register(known)
    return [_decide(command, register) for command in openings], register


def _decide(command: Opening, register: Register) -> Outcome | None:
    outcome = None
    if register.awaited.isdisjoint(command.made | command.rows):
        try:
            outcome = _open(command, register) if isinstance(command, OpenAccount) else _add(command, register)
        except RequestError as error:
            outcome = Outcome(error)
    if outcome is None:
        register.awaited |= command.made
    return outcome


def _open(command: OpenAccount, register: Register) -> Outcome | None:
    """Make the user and the account, or find that this same opening did so before."""
    account = register.accounts.get(command.account_id)
    user = register.users.get(command.user_id)
    if user is None:
        if account is not None:
            raise _is_taken(command)
        new = OpenedUser(command.user_id, command.user_name, command.sex, command.card_num, command.sent_at)
        return _make(command, new, command.sent_at, register)
    opened = (command.user_id, command.user_name, command.sex, command.card_num, user.created_at)
    if user != opened or account != _account(command, user.created_at):
        raise UserExists(f"User {command.user_id!r} exists already.", field="user_id")
    if _is_its_own(account, command.sent_at, register):
        return DONE
    again = f"User {command.user_id!r} exists already, opened with the same fields: nothing is left to do."
    return Outcome(UserExists(again, field="user_id"), replayed=True)


def _add(command: AddAccount, register: Register) -> Outcome | None:
    """Make the account, or find that this same addition did so before."""
    if UserRow(command.user_id) in register.locked:
        return None
    user = register.users.get(command.user_id)
    if user is None:
        raise UserNotFound(f"There is no user {command.user_id!r}.", field="user_id")
    # An account with the user's time was opened, not added, and a coarse clock may tell the same time twice.
    added_at = command.sent_at + (_LEAST_TIME if command.sent_at == user.created_at else timedelta())
    account = register.accounts.get(command.account_id)
    if account is None:
        return _make(command, user, added_at, register)
    if account.created_at == user.created_at or account != _account(command, account.created_at):
        raise _is_taken(command)
    if _is_its_own(account, added_at, register):
        return DONE
    again = f"Account {command.account_id!r} was added already with the same fields: nothing is left to do."
    return Outcome(AccountExists(again, field="account_id"), replayed=True)


def _make(command: Opening, user: OpenedUser, at: datetime, register: Register) -> Outcome | None:
    """Make the account, and its user if that is new. It waits for a team that is locked."""
    if command.team_id is not None:
        if TeamRow(command.team_id) in register.locked:
            return None
        if command.team_id not in register.teams:
            raise TeamNotFound(f"There is no team {command.team_id!r}.", field="team_id")
    register.make(command, user, _account(command, at))
    return DONE


def _is_taken(command: Opening) -> AccountExists:
    return AccountExists(f"Account {command.account_id!r} exists already.", field="account_id")


def _account(command: Opening, at: datetime) -> OpenedAccount:
    return OpenedAccount(
        command.account_id, command.account_type, command.user_id, command.team_id, command.currency, at
    )


def _is_its_own(account: OpenedAccount, sent_at: datetime, register: Register) -> bool:
    """Whether the opening made the account in an earlier attempt, which was committed without an answer.

    The sweeper finds its event.
    """
    return account.created_at == sent_at and account.account_id not in register.new_accounts
