"""Creating and changing teams, and writing notes to them."""

import json
import secrets
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..database.pipeline import run_pipeline
from ..database.times import utc_now
from ..errors import InvalidRequest, NotAMember, TeamNotFound, UserNotFound
from .team_rows import add_members, find_team, find_users, insert_team, remove_members, rename_team
from .writing import NewMessage, was_written, write_messages

NOTE: Final = "note"

# Each order of an account that a team watches writes a message to every member.
MEMBERS_LIMIT: Final = 1000


class ChangeTeam(NamedTuple):
    """Create a team, or change it."""

    team_id: str
    name: str | None
    add: Collection[str]
    remove: Collection[str]


class Note(NamedTuple):
    """A message that a member writes to a team. Without a user id, the service writes it.

    A note with an id that the team already has is a repeated request.
    """

    team_id: str
    title: str
    text: str
    user_id: str
    receiver_id: str
    note_id: str | None


async def change_team(database: Database, command: ChangeTeam) -> None:
    """Create the team if it does not exist, set its name, add and remove members.

    Adding a member again, or removing a user who is no member, does nothing.

    Raises UserNotFound, and InvalidRequest if a new team has no name or there are too many members.
    """

    async def work(connection: AsyncConnection) -> None:
        team = await find_team(connection, command.team_id, lock=True)
        if team is None:
            if command.name is None:
                raise InvalidRequest("The team is new, so it needs the field teamName.", field="teamName")
            await insert_team(connection, command.team_id, command.name, utc_now())
        elif command.name is not None and command.name != team.name:
            await rename_team(connection, command.team_id, command.name)
        members = set() if team is None else set(team.members)
        added = set(command.add) - members
        if missing := added - (await find_users(connection, added)).keys():
            raise UserNotFound(f"There is no user {min(missing)!r}.", field="add")
        if len((members | added) - set(command.remove)) > MEMBERS_LIMIT:
            raise InvalidRequest(f"A team has at most {MEMBERS_LIMIT} members.", field="add")
        await add_members(connection, command.team_id, added)
        await remove_members(connection, command.team_id, command.remove)

    await database.write(work)


async def write_note(database: Database, publish: Callable[[Collection[str]], None], note: Note) -> bool:
    """Write the note to each member once; return whether it was written before.

    Raises TeamNotFound, and NotAMember if the writer or the receiver is no member.
    """
    source_id = note.note_id or secrets.token_hex(16)
    written_at = utc_now()

    async def work(connection: AsyncConnection) -> list[str] | None:
        team = await find_team(connection, note.team_id, lock=True)
        if team is None:
            raise TeamNotFound(f"There is no team {note.team_id!r}.", field="teamId")
        for field, user_id in (("userId", note.user_id), ("receiverId", note.receiver_id)):
            if user_id and user_id not in team.members:
                raise NotAMember(f"User {user_id!r} is not a member of team {note.team_id!r}.", field=field)
        if await was_written(connection, note.team_id, NOTE, source_id):
            return None
        names = await find_users(connection, [note.user_id])
        messages = [
            NewMessage(
                reader_id=member,
                message_type=NOTE,
                source_id=source_id,
                user_id=note.user_id,
                user_name=names.get(note.user_id, ""),
                receiver_id=note.receiver_id,
                body=json.dumps({"text": note.text}, ensure_ascii=False),
                created_at=written_at,
                team_id=note.team_id,
                team_name=team.name,
                title=note.title,
            )
            for member in team.members
        ]
        await run_pipeline(connection, *write_messages(connection, messages))
        return team.members

    readers = await database.write(work)
    publish(readers or [])
    return readers is None
