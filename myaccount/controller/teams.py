"""Creating and changing teams, and writing notes to them."""

from typing import Final

from aiohttp import web

from ..appkeys import database_key, notifications_key, replayed_key
from ..errors import NotAMember, TeamNotFound, UserNotFound
from ..inbox.team_commands import ChangeTeam, Note, change_team, write_note
from .common_fields import TEAM_ID, USER_ID
from .field_kinds import IDENTIFIER, IDENTIFIERS, text
from .operation import Field, Operation, Texts

CHANGE_TEAM: Final = Operation(
    "/team",
    ChangeTeam,
    {
        "teamId": TEAM_ID,
        "teamName": Field(text(), "团队名称", "Team name", "Staff", default=None, argument="name"),
        "add": Field(IDENTIFIERS, "加入的用户", "Users to add", "u1 u2", default=()),
        "remove": Field(IDENTIFIERS, "移出的用户", "Users to remove", "u3", default=()),
    },
    Texts("团队", "Team", "新建团队，改名，增减成员。", "Makes a team, renames it, adds and removes members."),
    scopes=("messages:write",),
    errors=(UserNotFound,),
)
WRITE_NOTE: Final = Operation(
    "/teammessage",
    Note,
    {
        "teamId": TEAM_ID,
        "title": Field(text(100), "标题", "Title", "Hello"),
        "text": Field(text(2000, lines=True), "正文", "Text", "The shop is open."),
        "userId": USER_ID._replace(chinese="发送人", english="Writer", default=""),
        "receiverId": USER_ID._replace(chinese="接收人", english="Receiver", example="u2", default=""),
        "messageId": Field(IDENTIFIER, "消息ID", "Message id", "note-1", default=None, argument="note_id"),
    },
    Texts("团队消息", "Team message", "给团队每位成员写消息。", "Writes a message to each member of a team."),
    scopes=("messages:write",),
    errors=(TeamNotFound, NotAMember),
    # A character of the text takes up to 12 bytes, percent-encoded or escaped.
    body_limit_bytes=64 * 1024,
)


async def team(request: web.Request) -> dict[str, object]:
    await change_team(request.app[database_key], await CHANGE_TEAM.read(request))
    return {"result": 1}


async def teammessage(request: web.Request) -> dict[str, object]:
    note = await WRITE_NOTE.read(request)
    request[replayed_key] = await write_note(
        request.app[database_key], request.app[notifications_key].publish, note
    )
    return {"result": 1}
