"""Who may read which inbox."""

from collections.abc import Collection, Container, Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.pipeline import run_pipeline, select_rows
from ..database.statements import placeholders
from ..errors import NotAMember, RequestError, TeamNotFound, UserNotFound
from .page_statements import Inbox


async def find_refusals(
    connection: AsyncConnection, inboxes: Collection[Inbox], filled: Container[Inbox]
) -> dict[Inbox, RequestError]:
    """Return the error for each inbox whose reader is not there, or may not read that team's messages.

    A former member may still read the messages from the time of membership: `filled` are the inboxes with any.
    For a team of others and one that is not there the statements are the same, so both take as long.
    """
    readers = sorted({inbox.reader_id for inbox in inboxes})
    team_ids = sorted({inbox.team_id for inbox in inboxes if inbox.team_id})
    among = f"IN ({placeholders(readers)})"
    users = select_rows(connection, "user_id")
    members = select_rows(connection, "team.team_id, user_id")
    of_team = f"team_member.team_id = team.team_id AND user_id {among}"
    found = await run_pipeline(
        connection,
        (f"{users} FROM user WHERE user_id {among}", readers),
        (
            f"{members} FROM team LEFT JOIN team_member ON {of_team}"
            f" WHERE team.team_id IN ({placeholders(team_ids) or 'NULL'})",
            [*readers, *team_ids],
        ),
    )
    known = {user_id for (user_id,) in found[0]}
    teams: dict[str, set[str | None]] = {}
    for team_id, member in found[1]:
        teams.setdefault(team_id, set()).add(member)
    return {
        inbox: error for inbox in inboxes if (error := _refusal(inbox, known, teams, was_member=inbox in filled))
    }


def _refusal(
    inbox: Inbox, known: Collection[str], teams: Mapping[str, Collection[str | None]], *, was_member: bool
) -> RequestError | None:
    reader_id, team_id = inbox
    if reader_id not in known:
        return UserNotFound(f"There is no user {reader_id!r}.", field="userId")
    if team_id and team_id not in teams:
        return TeamNotFound(f"There is no team {team_id!r}.", field="teamId")
    if team_id and reader_id not in teams[team_id] and not was_member:
        return NotAMember(f"User {reader_id!r} is not a member of team {team_id!r}.", field="userId")
    return None
