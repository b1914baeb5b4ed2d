"""The audit log, a page at a time."""

from datetime import datetime
from typing import Final, NamedTuple

from aiohttp import web

from ..access.audit_log import AuditEntry, AuditFilter, list_audit
from ..appkeys import database_key
from ..database.times import iso_time
from .account_settings import LOG_PAGE_SIZE, cursor
from .field_kinds import MOMENT, Kind, text, whole
from .messages import NID_LIMIT, PAGE_LIMIT
from .operation import Field, Operation, Texts


class AuditQuery(NamedTuple):
    """The fields of a page request for the audit log."""

    who: str | None
    what: str | None
    about: str | None
    since: datetime | None
    until: datetime | None
    page_size: int
    before: int


AUDIT: Final = Operation(
    "/audit",
    AuditQuery,
    {
        "who": Field(text(), "操作者", "Who", "alice", default=None),
        "what": Field(text(), "操作", "What", "signed_in", default=None),
        "about": Field(text(), "对象", "About what", "a1", default=None),
        "from": Field(MOMENT, "起始时间", "From", "2026-01-02T03:04:05Z", default=None, argument="since"),
        "to": Field(
            MOMENT, "截止时间（不含）", "Until before", "2026-01-03T00:00:00+08:00", default=None, argument="until"
        ),
        "pageSize": Field(whole(1, PAGE_LIMIT), "每页条数", "Page size", "20", default=LOG_PAGE_SIZE),
        "before": Field(Kind(cursor), "下一页的起点", "Where the next page begins", "7", default=NID_LIMIT),
    },
    Texts(
        "审计日志",
        "Audit log",
        "分页查看审计日志，最新的在前：谁在何时何地对什么做了什么。",
        "Shows who did what, about what, when and from where, newest first.",
    ),
    scopes=("operate",),
)


async def audit(request: web.Request) -> dict[str, object]:
    query = await AUDIT.read(request)
    wanted = AuditFilter(*query[:5])
    # One more than a page, to know whether there are more.
    rows = await list_audit(request.app[database_key], wanted, query.before, query.page_size + 1)
    shown = rows[: query.page_size]
    return {
        "result": [_row(entry) for entry in shown],
        "pageSize": query.page_size,
        "before": str(shown[-1].id) if len(rows) > len(shown) else None,
    }


def _row(entry: AuditEntry) -> dict[str, object]:
    return {
        "WHO_KIND": entry.who_kind,
        "WHO": entry.who,
        "WHAT": entry.what,
        "ABOUT_KIND": entry.about_kind,
        "ABOUT": entry.about,
        "ADDRESS": entry.address,
        "REQUEST_ID": entry.request_id,
        "CREATE_TIME": iso_time(entry.at),
    }
