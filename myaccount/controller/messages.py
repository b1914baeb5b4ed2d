"""Reading an inbox, marking what was read, and following it live."""

import json
from contextlib import suppress
from typing import Any, Final, NamedTuple

from aiohttp import web
from aiohttp_sse import sse_response

from ..keys import database_key, live_key, news_key
from ..ledger.errors import InvalidRequest
from ..logsetup import request_id
from ..service.messages import list_messages, mark_all, mark_some
from ..store.inbox import NEWS_LIMIT, Cursor, Message, Wanted
from .forms import Check, Form, Optional, flag, identifier, whole
from .wording import LANGUAGES, described

PAGE_SIZE: Final = 12
PAGE_LIMIT: Final = 100
NID_LIMIT: Final = 2**63 - 2
THE_BEGINNING: Final = Cursor(True, NID_LIMIT + 1)
HEARTBEAT_SECONDS: Final = 15


class Query(NamedTuple):
    """Which page of which messages is asked for."""

    user_id: str
    page_size: int
    page_number: int | None
    unread: bool | None
    message_type: str | None
    before: Cursor | None
    language: str
    team_id: str = ""
    own: bool = False


class Marking(NamedTuple):
    """What is marked as read: some messages, or all up to one."""

    user_id: str
    nids: list[int] | None
    up_to: int | None
    team_id: str


def _language(value: str) -> str:
    if value not in LANGUAGES:
        raise ValueError(f"must be one of {', '.join(LANGUAGES)}")
    return value


def _cursor(value: str) -> Cursor:
    state, _, id_ = value.partition("-")
    if state not in ("unread", "read") or not _nid_fits(id_):
        raise ValueError("must be what the reply to an earlier page says")
    return Cursor(state == "unread", int(id_))


def _nids(value: str | list[object]) -> list[int]:
    texts = value.split() if isinstance(value, str) else [str(nid) for nid in value]
    if not all(map(_nid_fits, texts)):
        raise ValueError("must be NIDs: numbers")
    return [int(text) for text in texts]


def _nid_fits(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= NID_LIMIT


_NID: Final = whole(0, NID_LIMIT)
_LANGUAGE: Final = Optional(Check(_language), LANGUAGES[0])
_PAGING: Final[dict[str, Check | Optional]] = {
    "userId": identifier,
    "pageSize": Optional(whole(1, PAGE_LIMIT), PAGE_SIZE),
    "pageNo": Optional(whole(1, 1_000_000_000)),
    "unread": Optional(flag),
    "messageType": Optional(identifier),
    "before": Optional(Check(_cursor)),
    "language": _LANGUAGE,
}
QUERY: Final = Form(Query, **_PAGING)
TEAM_QUERY: Final = Form(Query, **_PAGING, teamId=identifier, self=Optional(flag, False))
MARKING: Final = Form(
    Marking,
    userId=identifier,
    nids=Optional(Check(_nids, list, "must be NIDs: an array, or with white space between them")),
    upTo=Optional(_NID),
    teamId=Optional(identifier, ""),
)
STREAM: Final = Form(lambda *values: values, userId=identifier, language=_LANGUAGE)


async def messages(request: web.Request) -> dict[str, object]:
    return await _page(request, await QUERY.read(request))


async def teammessages(request: web.Request) -> dict[str, object]:
    return await _page(request, await TEAM_QUERY.read(request))


async def read(request: web.Request) -> dict[str, object]:
    user_id, nids, up_to, team_id = await MARKING.read(request)
    if (nids is None) == (up_to is None):
        raise InvalidRequest("Send either nids or upTo.", field="nids")
    database = request.app[database_key]
    if nids is not None:
        return {"result": 1, "marked": await mark_some(database, user_id, nids)}
    return {"result": 1, "marked": await mark_all(database, user_id, team_id, up_to or 0)}


async def stream(request: web.Request) -> web.StreamResponse:
    """Send each new message as it comes, for as long as the client stays, from where it left off last time."""
    user_id, language = await STREAM.read(request)
    app, live = request.app, request.app[live_key]
    with live.watch(user_id) as news:
        newest = await app[news_key].newest(user_id)
        last_seen = request.headers.get("Last-Event-ID", "")
        place = int(last_seen) if _nid_fits(last_seen) else newest
        headers = {"X-Request-ID": request_id.get()}
        async with sse_response(request, headers=headers, ping_interval=HEARTBEAT_SECONDS) as response:
            with suppress(ConnectionResetError):
                # Whoever is cut off before the first message goes on from here all the same.
                await response.write(f"id: {place}\n\n".encode())
                while response.is_connected() and not live.closed:
                    news.clear()
                    found = await app[news_key].after(user_id, place)
                    for message in found:
                        place = message.id
                        row = json.dumps(_row(message, language), ensure_ascii=False)
                        await response.send(row, id=str(place))
                    # When as many are found as are given at once, there may be more.
                    if len(found) < NEWS_LIMIT:
                        await news.wait()
    return response


async def _page(request: web.Request, query: Query) -> dict[str, object]:
    if query.before is not None and query.page_number is not None:
        raise InvalidRequest("Send either pageNo or before.", field="before")
    # Without a number, a page may be the first of many by cursor.
    before = query.before or (THE_BEGINNING if query.page_number is None else None)
    own = True if query.own else None
    wanted = Wanted(query.user_id, query.team_id, own, query.message_type, query.unread)
    number = query.page_number or 1
    page = await list_messages(request.app[database_key], wanted, before, number, query.page_size)
    return {
        "result": [_row(message, query.language) for message in page.messages],
        "total": page.total,
        "unread": page.unread,
        "pageNo": number,
        "pageSize": query.page_size,
        "before": _place_after(page.messages[-1]) if page.more else None,
    }


def _place_after(message: Message) -> str:
    return f"{'unread' if message.unread else 'read'}-{message.id}"


def _row(message: Message, language: str) -> dict[str, Any]:
    title, body = described(message, language)
    return {
        "NID": message.id,
        "KIND": "team" if message.team_id else "account",
        "MESSAGE_TYPE": message.message_type,
        "USER_ID": message.user_id or None,
        "USERNAME": message.user_name or None,
        "TEAM_ID": message.team_id or None,
        "TEAM_NAME": message.team_name or None,
        "READER_ID": message.reader_id,
        "RECEIVER_ID": message.receiver_id or None,
        "TITLE": title,
        "BODY": body,
        "CREATE_TIME": message.created_at.isoformat(timespec="microseconds") + "Z",
        "READ": not message.unread,
    }
