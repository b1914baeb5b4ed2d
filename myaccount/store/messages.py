"""Writing messages: each reader's exactly once, in an order that their ids keep, and counted."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import insert, select, text, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..model.inbox import message
from ..model.tables import user

_COUNT_IN: Final = "INSERT INTO folder (reader_id, team_id, message_type, own, total, unread) VALUES"
_COUNT_IN_BY_DIALECT: Final = {
    "mysql": text(
        f"{_COUNT_IN} (:reader_id, :team_id, :message_type, :own, :added, :added)"
        " ON DUPLICATE KEY UPDATE total = total + VALUES(total), unread = unread + VALUES(unread)"
    ),
    "sqlite": text(
        f"{_COUNT_IN} (:reader_id, :team_id, :message_type, :own, :added, :added)"
        " ON CONFLICT DO UPDATE SET total = total + excluded.total, unread = unread + excluded.unread"
    ),
}

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


async def lock_readers(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, str]:
    """Return the names of users whose inboxes nobody else changes until the transaction ends.

    So the ids of a reader's messages grow as they are committed: whoever has read up to one has read all before.
    """
    # In the order of one index, whatever the optimiser thinks of a small table: two who want the same readers must
    # never wait for each other in a circle.
    names = (
        select(user.c.user_id, user.c.user_name)
        .where(user.c.user_id.in_(user_ids))
        .with_hint(user, "FORCE INDEX (uq_user_user_id)", "mysql")
        .with_hint(user, "FORCE INDEX (uq_user_user_id)", "mariadb")
        .with_for_update()
    )
    return {row.user_id: row.user_name for row in await connection.execute(names)}


async def insert_messages(connection: AsyncConnection, messages: Sequence[NewMessage]) -> None:
    """Insert the messages, whose readers the transaction has locked, and count them in their folders.

    Raises IntegrityError if a reader has been told of the same before.
    """
    if not messages:
        return
    folders = Counter((m.reader_id, m.team_id, m.message_type, m.own) for m in messages)
    dialect = "sqlite" if connection.dialect.name == "sqlite" else "mysql"
    await connection.execute(
        _COUNT_IN_BY_DIALECT[dialect],
        [
            {"reader_id": reader, "team_id": team, "message_type": type_, "own": own, "added": added}
            for (reader, team, type_, own), added in sorted(folders.items())
        ],
    )
    await connection.execute(insert(message), [{**m._asdict(), "own": m.own, "unread": True} for m in messages])


async def mark_read(connection: AsyncConnection, reader_id: str, ids: Collection[int]) -> int:
    """Mark those of the messages that are the reader's and unread; return how many."""
    await lock_readers(connection, [reader_id])
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
