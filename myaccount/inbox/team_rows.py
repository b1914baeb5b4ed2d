"""Teams, their members, and the accounts whose money they watch."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.pipeline import run_pipeline, select_rows
from ..database.statements import placeholders
from ..model.inbox import team, team_member
from ..model.ledger import account, user
from .marks import Position

# How many accounts one query reads, so that neither query nor reply exceeds a max_allowed_packet of 64 KiB.
PARTIES_LIMIT: Final = 100


class Team(NamedTuple):
    """A team and the user ids of its members, in order."""

    team_id: str
    name: str
    members: list[str]


class Party(NamedTuple):
    """An account's user, whether a team watches the account, and up to where the inbox has its messages.

    The mark's entry is -1 if it has not even the one about the opening.
    """

    user_id: str
    user_name: str
    watched: bool
    mark: Position


async def find_team(connection: AsyncConnection, team_id: str, *, lock: bool = False) -> Team | None:
    """Return the team, or None. With `lock`, its row is locked until the transaction ends."""
    named = select(team.c.team_name).where(team.c.team_id == team_id)
    name = (await connection.execute(named.with_for_update() if lock else named)).scalar()
    if name is None:
        return None
    members = select(team_member.c.user_id).where(team_member.c.team_id == team_id)
    return Team(team_id, name, list((await connection.execute(members.order_by(team_member.c.user_id))).scalars()))


async def find_membership(connection: AsyncConnection, team_id: str, user_id: str) -> tuple[bool, bool]:
    """Return whether there is such a team, and whether the user is a member: by one statement in each case."""
    of_user = and_(team_member.c.team_id == team.c.team_id, team_member.c.user_id == user_id)
    query = select(team_member.c.user_id).join_from(team, team_member, of_user, isouter=True)
    found = (await connection.execute(query.where(team.c.team_id == team_id))).first()
    return found is not None, found is not None and found.user_id is not None


async def insert_team(connection: AsyncConnection, team_id: str, name: str, now: datetime) -> None:
    await connection.execute(insert(team).values(team_id=team_id, team_name=name, created_at=now))


async def rename_team(connection: AsyncConnection, team_id: str, name: str) -> None:
    await connection.execute(update(team).where(team.c.team_id == team_id).values(team_name=name))


async def add_members(connection: AsyncConnection, team_id: str, user_ids: Collection[str]) -> None:
    rows = [{"team_id": team_id, "user_id": user_id} for user_id in sorted(user_ids)]
    if rows:
        await connection.execute(insert(team_member), rows)


async def remove_members(connection: AsyncConnection, team_id: str, user_ids: Collection[str]) -> None:
    of_team = team_member.c.team_id == team_id
    await connection.execute(delete(team_member).where(of_team, team_member.c.user_id.in_(user_ids)))


async def find_users(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, str]:
    """Return the names of the users that exist, by user id."""
    names = select(user.c.user_id, user.c.user_name).where(user.c.user_id.in_(user_ids))
    return {row.user_id: row.user_name for row in await connection.execute(names)}


async def find_parties(connection: AsyncConnection, account_ids: Collection[str]) -> dict[str, Party]:
    """Return by account id those of the accounts that have users."""
    rows = select_rows(
        connection,
        "account_id, user.user_id, user_name, team_id IS NOT NULL, COALESCE(number, -1), COALESCE(declines, 0)",
    )
    joined = (
        f"{rows} FROM account JOIN user ON user.user_id = account.user_id"
        " LEFT JOIN inbox_mark ON inbox_mark.account = account.id WHERE account_id IN"
    )
    answers = await run_pipeline(
        connection, *[(f"{joined} ({placeholders(part)})", part) for part in _parts(account_ids)]
    )
    return {
        account_id: Party(user_id, user_name, watched, Position(*mark))
        for answer in answers
        for account_id, user_id, user_name, watched, *mark in answer
    }


async def find_watching_teams(connection: AsyncConnection, account_ids: Collection[str]) -> dict[str, Team]:
    """Return by account id the team that watches the account. Accounts without one are left out."""
    if not account_ids:
        return {}
    watched = (
        select(account.c.account_id, team.c.team_id, team.c.team_name)
        .join_from(account, team, team.c.team_id == account.c.team_id)
        .where(account.c.account_id.in_(account_ids))
    )
    rows = list(await connection.execute(watched))
    # Members are read once for each team, since many accounts may have the same one.
    teams = {row.team_id: Team(row.team_id, row.team_name, []) for row in rows}
    members = select(team_member.c.team_id, team_member.c.user_id).where(team_member.c.team_id.in_(teams))
    for team_id, member in await connection.execute(members.order_by(team_member.c.user_id)):
        teams[team_id].members.append(member)
    return {row.account_id: teams[row.team_id] for row in rows}


async def find_first_accounts(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, str]:
    """Return by user id the id of the account that the user opened first."""
    first: dict[str, str] = {}
    for part in _parts(user_ids):
        accounts = select(account.c.user_id, account.c.account_id).where(account.c.user_id.in_(part))
        for user_id, account_id in await connection.execute(accounts.order_by(account.c.id)):
            first.setdefault(user_id, account_id)
    return first


def _parts(ids: Collection[str]) -> list[list[str]]:
    """Divide the ids into those of one query each."""
    all_ids = list(ids)
    return [all_ids[start : start + PARTIES_LIMIT] for start in range(0, len(all_ids), PARTIES_LIMIT)]
