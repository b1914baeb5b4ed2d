"""Journals of tests: another process's connections, the sizes of batches, and openings to submit."""

from collections.abc import AsyncIterator, Sequence

import pytest

from myaccount.database.database import Database, open_database
from myaccount.database.times import utc_now
from myaccount.journal.posting import Posted, Poster
from myaccount.ledger.account_commands import AddAccount, OpenAccount
from myaccount.ledger.commands import Command
from myaccount.settings.paths import working_path
from myaccount.settings.schema import Config


def ignore_event(event_id: int) -> None:
    """The sweeper of the running service finds the event anyway."""


@pytest.fixture
async def another(config: Config, database: Database) -> AsyncIterator[Database]:
    """The same database over other connections, like another process's."""
    async with open_database(config, working_path(config["sqlite_file"])) as another:
        yield another


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches so far."""
    sizes: list[int] = []
    original = Poster.post

    async def counted(self: Poster, commands: Sequence[Command], *, wait: bool = True) -> Posted:
        sizes.append(len(commands))
        return await original(self, commands, wait=wait)

    monkeypatch.setattr(Poster, "post", counted)
    return sizes


def opening(user_id: str, account_id: str, currency: str = "CNY", team_id: str | None = None) -> OpenAccount:
    return OpenAccount(user_id, "N", "F", "6222", account_id, "01", team_id, currency, sent_at=utc_now())


def addition(user_id: str, account_id: str, currency: str = "CNY", team_id: str | None = None) -> AddAccount:
    return AddAccount(user_id, account_id, "02", team_id, currency, sent_at=utc_now())
