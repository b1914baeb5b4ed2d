"""Writing messages: each reader's exactly once, in an order that their ids keep, and counted."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import select, text, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.pipeline import is_sqlite, run_pipeline
from ..database.statements import Bound, format_time, insert_rows, placeholders
from ..model.inbox import message

_MESSAGE: Final = (
    "INSERT INTO message (reader_id, source_id, user_id, user_name, receiver_id, body, team_id, team_name, title,"
    " message_type, created_at, own, unread)"
)
_FOLDER: Final = "INSERT INTO folder (reader_id, team_id, message_type, own, total, unread)"
_COUNTED_BY_SQLITE: Final = (
    "ON CONFLICT DO UPDATE SET total = total + excluded.total, unread = unread + excluded.unread"
)
_COUNTED: Final = "ON DUPLICATE KEY UPDATE total = total + VALUES(total), unread = unread + VALUES(unread)"
# In the order of one index, whatever the optimiser thinks of a small table: two who want the same readers must
# never wait for each other in a circle.
_LOCK: Final = "SELECT 1, JSON_ARRAY(COUNT(*)) FROM user FORCE INDEX (uq_user_user_id) WHERE user_id IN"
_COUNT_READ: Final = text(
    "UPDATE folder SET unread = unread - :marked WHERE reader_id = :reader_id AND team_id = :team_id"
    " AND message_type = :message_type AND own = :own"
)


class NewMessage(NamedTuple):
    """A message as it is written: of the reader's own account, or, with a team's id, of that team."""

    reader_id: str
    message_type: str
    source_id: str
    user_id: str
    user_name: str
    receiver_id: str
    # JSON.
    body: str
    created_at: datetime
    team_id: str = ""
    team_name: str = ""
    title: str = ""

    @property
    def own(self) -> bool:
        return self.reader_id in (self.user_id, self.receiver_id)


def write_messages(connection: AsyncConnection, messages: Sequence[NewMessage]) -> list[Bound]:
    """Return the statements that insert the messages and count them in their folders.

    They keep every other transaction from the readers' inboxes until theirs ends: so the ids of a reader's
    messages grow as they are committed, and whoever has seen one has seen all before. A reader who has been told
    of the same before makes an IntegrityError.
    """
    folders = Counter((m.reader_id, m.team_id, m.message_type, m.own) for m in messages)
    counted = _COUNTED_BY_SQLITE if is_sqlite(connection) else _COUNTED
    return [
        *_lock_readers(connection, {m.reader_id for m in messages}),
        *insert_rows(_FOLDER, [_folder_row(*key, added) for key, added in sorted(folders.items())], counted),
        *insert_rows(_MESSAGE, [_message_row(m) for m in messages]),
    ]


# Numbers and words of the service's own are written out: a parameter costs more than all the rest of them.
def _folder_row(reader_id: str, team_id: str, message_type: str, own: bool, added: int) -> Bound:
    if not team_id:
        return f"(%s,'','{message_type}',{own:d},{added},{added})", [reader_id]
    return f"(%s,%s,'{message_type}',{own:d},{added},{added})", [reader_id, team_id]


def _message_row(m: NewMessage) -> Bound:
    own = f"'{m.message_type}','{format_time(m.created_at)}',{m.own:d},1"
    values = [m.reader_id, m.source_id, m.user_id, m.user_name, m.receiver_id, m.body]
    if not m.team_id:
        return f"(%s,%s,%s,%s,%s,%s,'','','',{own})", values
    return f"(%s,%s,%s,%s,%s,%s,%s,%s,%s,{own})", [*values, m.team_id, m.team_name, m.title]


def _lock_readers(connection: AsyncConnection, user_ids: Collection[str]) -> list[Bound]:
    """Return the statement, if there need be one, that keeps the readers' inboxes for the transaction."""
    if is_sqlite(connection) or not user_ids:
        # There is one writer at a time.
        return []
    ids = sorted(user_ids)
    return [(f"{_LOCK} ({placeholders(ids)}) FOR UPDATE", ids)]


async def lock_inbox(connection: AsyncConnection, reader_id: str) -> None:
    """Keep every other transaction from changing the inbox until this one ends."""
    await run_pipeline(connection, *_lock_readers(connection, [reader_id]))


async def mark_read(connection: AsyncConnection, reader_id: str, ids: Collection[int]) -> int:
    """Mark those of the messages that are the reader's, whose inbox is locked, and unread; return how many."""
    found = await connection.execute(
        select(message.c.id, message.c.team_id, message.c.message_type, message.c.own).where(
            message.c.id.in_(ids), message.c.reader_id == reader_id, message.c.unread == true()
        )
    )
    rows = list(found)
    if rows:
        marked = update(message).where(message.c.id.in_([row.id for row in rows]))
        await connection.execute(marked.values(unread=False))
        await connection.execute(
            _COUNT_READ,
            [
                {"reader_id": reader_id, "team_id": team, "message_type": type_, "own": own, "marked": marked}
                for (team, type_, own), marked in Counter((row[1], row[2], row[3]) for row in rows).items()
            ],
        )
    return len(rows)


async def was_told(connection: AsyncConnection, team_id: str, message_type: str, source_id: str) -> bool:
    """Tell whether the team was told of that source already."""
    told = select(message.c.id).where(
        message.c.source_id == source_id, message.c.team_id == team_id, message.c.message_type == message_type
    )
    return (await connection.execute(told.limit(1))).first() is not None
