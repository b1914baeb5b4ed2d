"""Making teams, and writing to them."""

from typing import Final

from aiohttp import web

from ..appkeys import database_key, live_key, replayed_key
from ..inbox.teams import ChangeTeam, Note, change_team, write_note
from .forms import Form, Optional, identifier, identifiers, text

TEAM: Final = Form(
    ChangeTeam,
    teamId=identifier,
    teamName=Optional(text()),
    add=Optional(identifiers, ()),
    remove=Optional(identifiers, ()),
)
NOTE: Final = Form(
    Note,
    teamId=identifier,
    title=text(100),
    text=text(2000, lines=True),
    userId=Optional(identifier, ""),
    receiverId=Optional(identifier, ""),
    messageId=Optional(identifier),
)


async def team(request: web.Request) -> dict[str, object]:
    await change_team(request.app[database_key], await TEAM.read(request))
    return {"result": 1}


async def teammessage(request: web.Request) -> dict[str, object]:
    note = await NOTE.read(request)
    request[replayed_key] = await write_note(request.app[database_key], request.app[live_key].publish, note)
    return {"result": 1}
