"""Teams, their members, and the accounts whose money they watch."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.pipeline import is_sqlite, run_pipeline
from ..database.statements import placeholders
from ..model.inbox import team, team_member
from ..model.ledger import account, user

# How many users one query reads, so that neither query nor reply exceeds a max_allowed_packet of 64 KiB.
PARTIES_LIMIT: Final = 100


class Team(NamedTuple):
    """A team and the user ids of its members, in order."""

    team_id: str
    name: str
    members: list[str]


async def find_team(connection: AsyncConnection, team_id: str, *, lock: bool = False) -> Team | None:
    """Return the team, or None. With `lock`, its row is locked until the transaction ends."""
    named = select(team.c.team_name).where(team.c.team_id == team_id)
    name = (await connection.execute(named.with_for_update() if lock else named)).scalar()
    if name is None:
        return None
    members = select(team_member.c.user_id).where(team_member.c.team_id == team_id)
    return Team(team_id, name, list((await connection.execute(members.order_by(team_member.c.user_id))).scalars()))


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


async def find_parties(connection: AsyncConnection, user_ids: Collection[str]) -> tuple[dict[str, str], set[str]]:
    """Return the names of users by their ids, and the ids of those with an account that a team watches."""
    ids = list(user_ids)
    array = "json_group_array(json_array" if is_sqlite(connection) else "JSON_ARRAYAGG(JSON_ARRAY"
    rows = f"SELECT COUNT(*), {array}(user.user_id, user_name, team_id IS NOT NULL)) FROM user"
    joined = f"{rows} JOIN account ON account.user_id = user.user_id WHERE user.user_id IN"
    parts = [ids[start : start + PARTIES_LIMIT] for start in range(0, len(ids), PARTIES_LIMIT)]
    answers = await run_pipeline(connection, *[(f"{joined} ({placeholders(part)})", part) for part in parts])
    found = [row for answer in answers for row in answer]
    return {user_id: name for user_id, name, _ in found}, {user_id for user_id, _, watched in found if watched}


async def find_watching_teams(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, Team]:
    """Return by user id the team that watches the user's account. Users without one are left out."""
    if not user_ids:
        return {}
    watched = (
        select(account.c.user_id, team.c.team_id, team.c.team_name)
        .join_from(account, team, team.c.team_id == account.c.team_id)
        .where(account.c.user_id.in_(user_ids))
    )
    rows = list(await connection.execute(watched))
    # Members are read once for each team, since many accounts may have the same one.
    teams = {row.team_id: Team(row.team_id, row.team_name, []) for row in rows}
    members = select(team_member.c.team_id, team_member.c.user_id).where(team_member.c.team_id.in_(teams))
    for team_id, member in await connection.execute(members.order_by(team_member.c.user_id)):
        teams[team_id].members.append(member)
    return {row.user_id: teams[row.team_id] for row in rows}
