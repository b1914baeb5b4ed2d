"""Reading an inbox, and marking messages as read."""

from typing import Final, NamedTuple, cast

from aiohttp import web

from ..access.callers import Caller, caller_of
from ..access.scopes import OWN
from ..appkeys import catch_up_key, marker_key, page_queries_key
from ..errors import InvalidRequest, NotAMember, TeamNotFound, UserNotFound
from ..inbox.page_queries import AskedPage, Page
from ..inbox.page_statements import Cursor, MessageFilter
from ..inbox.queries import Message
from ..inbox.wording import MESSAGE_TYPES, message_text
from .common_fields import LANGUAGE, TEAM_ID, USER_ID
from .field_kinds import FLAG, Kind, one_of, whole
from .operation import Field, Operation, Texts
from .own_data import team_as_seen, user_as_seen

PAGE_SIZE: Final = 12
PAGE_LIMIT: Final = 100
NID_LIMIT: Final = 2**63 - 2
THE_BEGINNING: Final = Cursor(True, NID_LIMIT + 1)


class Query(NamedTuple):
    """The fields of a page request."""

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
    """The messages to mark as read: those with the ids, or all up to one."""

    user_id: str
    nids: list[int] | None
    up_to: int | None
    team_id: str


def _cursor(value: str) -> Cursor:
    state, _, id_ = value.partition("-")
    if state not in ("unread", "read") or not nid_fits(id_):
        raise ValueError("must be the `before` of an earlier reply")
    return Cursor(state == "unread", int(id_))


def _nids(value: str | list[object]) -> list[int]:
    nids = value.split() if isinstance(value, str) else value
    if not all(isinstance(nid, str) and nid_fits(nid) for nid in nids):
        raise ValueError("must be NIDs: numbers")
    return [int(nid) for nid in cast("list[str]", nids)]


def nid_fits(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= NID_LIMIT


_PAGING: Final = {
    "userId": USER_ID,
    "pageSize": Field(whole(1, PAGE_LIMIT), "每页条数", "Page size", "12", default=PAGE_SIZE),
    "pageNo": Field(whole(1, 1_000_000_000), "页码", "Page number", "1", default=None, argument="page_number"),
    "unread": Field(FLAG, "未读", "Unread", "true", default=None),
    "messageType": Field(one_of(MESSAGE_TYPES), "消息类型", "Message type", "recharge", default=None),
    "before": Field(Kind(_cursor), "下一页的起点", "Where the next page begins", "unread-7", default=None),
    "language": LANGUAGE,
}
LIST_MESSAGES: Final = Operation(
    "/messages",
    Query,
    _PAGING,
    Texts("消息", "Messages", "分页查看用户的消息。", "Shows a page of a user's inbox."),
    scopes=("messages:read", OWN),
    errors=(UserNotFound,),
)
LIST_TEAM_MESSAGES: Final = Operation(
    "/teammessages",
    Query,
    {
        **_PAGING,
        "teamId": TEAM_ID,
        "self": Field(FLAG, "与本人有关", "Own business", "true", default=False, argument="own"),
    },
    Texts(
        "团队消息",
        "Team messages",
        "分页查看团队的消息。",
        "Shows a page of a team's messages to a member.",
    ),
    scopes=("messages:read",),
    errors=(UserNotFound, TeamNotFound, NotAMember),
)
MARK_MESSAGES: Final = Operation(
    "/messages/read",
    Marking,
    {
        "userId": USER_ID,
        "nids": Field(
            Kind(_nids, list, "must be NIDs: an array, or with white space between them"),
            "消息编号",
            "NIDs",
            "7 8",
            default=None,
        ),
        "upTo": Field(whole(0, NID_LIMIT), "截至消息编号", "Up to this NID", "8", default=None),
        "teamId": TEAM_ID._replace(default=""),
    },
    Texts("标记已读", "Mark as read", "把消息标记为已读。", "Marks messages as read."),
    scopes=("messages:read", OWN),
    errors=(UserNotFound, TeamNotFound, NotAMember),
)


async def messages(query: Query, caller: Caller, app: web.Application) -> bytes:
    with user_as_seen(caller, query.user_id) as user_id:
        return await _page(query._replace(user_id=user_id), app)


async def teammessages(query: Query, caller: Caller, app: web.Application) -> bytes:
    return await _page(query, app)


async def mark_read(request: web.Request) -> dict[str, object]:
    user_id, nids, up_to, team_id = await MARK_MESSAGES.read(request)
    if (nids is None) == (up_to is None):
        raise InvalidRequest("Send either nids or upTo.", field="nids")
    if nids is not None and team_id:
        raise InvalidRequest("Send teamId only with upTo. nids already name the messages.", field="teamId")
    marker, caller = request.app[marker_key], caller_of(request)
    with user_as_seen(caller, user_id) as reader_id, team_as_seen(caller, team_id):
        if nids is not None:
            return {"result": 1, "marked": await marker.mark_messages(reader_id, nids)}
        # A team's messages are written at once.
        if not team_id:
            await request.app[catch_up_key].inbox(reader_id)
        return {"result": 1, "marked": await marker.mark_all(reader_id, team_id, up_to or 0)}


async def _page(query: Query, app: web.Application) -> bytes:
    if query.before is not None and query.page_number is not None:
        raise InvalidRequest("Send either pageNo or before.", field="before")
    # Without a page number, the page may be the first of many by cursor.
    before = query.before or (THE_BEGINNING if query.page_number is None else None)
    own = True if query.own else None
    filter_ = MessageFilter(query.user_id, query.team_id, own, query.message_type, query.unread)
    page = AskedPage(filter_, before, query.page_number or 1, query.page_size)
    return await app[page_queries_key].fetch(page, query.language)


def page_text(asked: AskedPage, page: Page, language: str) -> bytes:
    """Return the reply with a page."""
    texts = ", ".join([message_text(message, language) for message in page.messages])
    before_next = f'"{_cursor_after(page.messages[-1])}"' if page.more else "null"
    return (
        f'{{"result": [{texts}], "total": {page.total}, "unread": {page.unread}, "pageNo": {asked.number},'
        f' "pageSize": {asked.size}, "before": {before_next}}}\n'
    ).encode()


def _cursor_after(message: Message) -> str:
    return f"{'unread' if message.unread else 'read'}-{message.id}"
