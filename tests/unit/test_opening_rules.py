"""The rules of openings: which ids are taken, which opening is the same again, and what waits for a locked row."""

from collections.abc import Sequence, Set
from dataclasses import replace
from datetime import timedelta

import pytest

from myaccount.ledger.account_commands import AddAccount, OpenAccount, Opening
from myaccount.ledger.opening_rules import KnownIds, Register, decide_openings
from myaccount.ledger.outcomes import Outcome
from myaccount.ledger.records import OpenedAccount, OpenedUser
from myaccount.ledger.references import AccountId, Reference, TeamRow, UserCurrency, UserRow
from tests.helpers.stored_books import START

LATER = START + timedelta(seconds=1)
ANN = OpenAccount("ann", "Ann", "F", "6222", "ann-1", "01", sent_at=START)
YEN = AddAccount("ann", "yen", "02", "team", "JPY", sent_at=LATER)
ANN_S_USER = OpenedUser("ann", "Ann", "F", "6222", START)
ANN_S_ACCOUNT = OpenedAccount("ann-1", "01", "ann", None, "CNY", START)
YEN_ACCOUNT = OpenedAccount("yen", "02", "ann", "team", "JPY", LATER)


def _known(*accounts: OpenedAccount, locked: Set[Reference] = frozenset()) -> KnownIds:
    """Return that ann was opened with these accounts, or, without any, that nobody was."""
    return KnownIds(
        users={"ann": ANN_S_USER} if accounts else {},
        accounts={account.account_id: account for account in accounts},
        teams={"team"},
        currencies={"CNY"},
        locked=locked,
    )


def _codes(openings: Sequence[Opening], known: KnownIds) -> list[str]:
    return list(map(_code, decide_openings(openings, known)[0]))


def _code(outcome: Outcome | None) -> str:
    if outcome is None:
        return "waits"
    return f"{outcome.error.code if outcome.error else 'done'}{' again' if outcome.replayed else ''}"


def _made(register: Register) -> tuple[list[OpenedUser], list[OpenedAccount], list[str]]:
    return register.new_users, list(register.new_accounts.values()), list(register.new_currencies)


def test_openings_of_a_batch_are_made_and_told_in_order() -> None:
    outcomes, register = decide_openings([ANN, YEN], _known())
    assert list(map(_code, outcomes)) == ["done", "done"]
    assert _made(register) == ([ANN_S_USER], [ANN_S_ACCOUNT, YEN_ACCOUNT], ["JPY"])
    told = [(change.change_type, change.source_id, change.currency) for change in register.changes]
    assert told == [("account_opened", "ann-1", "CNY"), ("account_added", "yen", "JPY")]
    # Once the tables have them, each is known as the same again.
    again = [replace(command, sent_at=LATER + timedelta(seconds=1)) for command in (ANN, YEN)]
    assert _codes(again, _known(ANN_S_ACCOUNT, YEN_ACCOUNT)) == ["user_exists again", "account_exists again"]


def test_an_outside_world_is_made_once_for_each_new_currency() -> None:
    other = AddAccount("ann", "yen-2", "02", None, "JPY", sent_at=LATER + timedelta(1))
    _, register = decide_openings([YEN, other], _known(ANN_S_ACCOUNT))
    assert register.new_currencies == {"JPY": LATER}
    known = _known(ANN_S_ACCOUNT)
    known.currencies = {"CNY", "JPY"}
    assert decide_openings([YEN, other], known)[1].new_currencies == {}


@pytest.mark.parametrize("command", [ANN, YEN])
def test_an_opening_that_was_committed_without_an_answer_is_done(command: Opening) -> None:
    """It is known by its time; another one of the same content is a replay."""
    known = _known(ANN_S_ACCOUNT, YEN_ACCOUNT)
    outcomes, register = decide_openings([command], known)
    assert (outcomes, _made(register), register.changes) == ([Outcome()], ([], [], []), [])
    assert _codes([replace(command, sent_at=LATER + timedelta(1))], known)[0].endswith(" again")


@pytest.mark.parametrize("command", [ANN, YEN])
def test_of_two_openings_of_the_same_time_in_a_batch_one_is_a_replay(command: Opening) -> None:
    """A clock may be coarse."""
    known = _known(*[ANN_S_ACCOUNT] * isinstance(command, AddAccount))
    codes = _codes([command, replace(command)], known)
    assert [code.endswith(" again") for code in codes] == [False, True]


def test_an_account_that_is_added_at_the_user_s_own_time_was_added_all_the_same() -> None:
    command = replace(YEN, sent_at=START)
    _, register = decide_openings([ANN, command], _known())
    account = register.new_accounts["yen"]
    assert account.created_at == START + timedelta(microseconds=1)
    known = _known(ANN_S_ACCOUNT, account)
    assert _codes([command, replace(command, sent_at=LATER)], known) == ["done", "account_exists again"]


def test_what_is_refused_makes_nothing() -> None:
    known = _known(ANN_S_ACCOUNT, YEN_ACCOUNT)
    bob = OpenAccount("bob", "Bob", "M", "6222", "bob-1", "01", None, "KWD", sent_at=LATER)
    cases: dict[Opening, str] = {
        replace(ANN, card_num="1"): "user_exists",
        replace(ANN, account_id="bob-1"): "user_exists",
        # It was added, not opened; and the other way round.
        replace(ANN, account_id="yen", account_type="02", team_id="team", currency="JPY"): "user_exists",
        AddAccount("ann", "ann-1", "01", sent_at=LATER): "account_exists",
        replace(YEN, currency="KWD"): "account_exists",
        replace(YEN, user_id="bob"): "user_not_found",
        replace(bob, account_id="yen"): "account_exists",
        replace(bob, team_id="no team"): "team_not_found",
        replace(YEN, account_id="new", team_id="no team"): "team_not_found",
    }
    for command, code in cases.items():
        outcomes, register = decide_openings([command], known)
        assert (list(map(_code, outcomes)), _made(register), register.changes) == ([code], ([], [], []), [])
        assert not register.blocked


def test_an_addition_waits_for_its_locked_user_and_an_opening_for_its_locked_team() -> None:
    bob = OpenAccount("bob", "Bob", "M", "6222", "bob-1", "01", "team", sent_at=LATER)
    user_locked = _known(ANN_S_ACCOUNT, locked={UserRow("ann")})
    outcomes, register = decide_openings([YEN, bob, ANN], user_locked)
    assert list(map(_code, outcomes)) == ["waits", "done", "done"]
    # Orders that name only ann mean an account that is there.
    assert register.blocked == {UserRow("ann"), AccountId("yen")}
    team_locked = _known(ANN_S_ACCOUNT, locked={TeamRow("team")})
    outcomes, register = decide_openings([YEN, bob, ANN, replace(bob, user_id="cem", team_id=None)], team_locked)
    assert list(map(_code, outcomes)) == ["waits", "waits", "done", "waits"]
    assert register.new_accounts == {}
    assert register.blocked >= {TeamRow("team"), "bob", UserCurrency("bob", "CNY"), AccountId("bob-1")}
    # Neither that there is no such user, nor that an id is taken, depends on the team.
    others: list[Opening] = [
        replace(YEN, user_id="dee"), replace(bob, user_id="dee", account_id="ann-1"), replace(ANN, team_id="team"),
    ]  # fmt: skip
    assert _codes(others, team_locked) == ["user_not_found", "account_exists", "user_exists"]


def test_openings_wait_for_one_that_waits_before_them() -> None:
    """So that they are decided in the order in which they were sent."""
    bob = OpenAccount("bob", "Bob", "M", "6222", "bob-1", "01", "team", sent_at=LATER)
    added = AddAccount("bob", "bob-2", "01", sent_at=LATER)
    outcomes, register = decide_openings([bob, added, ANN], _known(locked={TeamRow("team")}))
    assert list(map(_code, outcomes)) == ["waits", "waits", "done"]
    assert AccountId("bob-2") in register.blocked
    # Of another user, the same team is no reason to wait.
    assert _codes([added], _known()) == ["user_not_found"]
