"""Operators' sessions. Each is a row, so that its end holds in every process at once."""

import secrets
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ...database.coalescing import Coalescer
from ...database.database import Database
from ...errors import RequestError
from ...ledger.makers import Doer, Maker
from ...model.access import operator, session
from ..audit_rows import SIGNED_OUT, write_audit
from ..authentication import Authenticator
from ..callers import Caller
from ..key_rows import hash_of
from ..scopes import ROLES
from .cookies import secret_of

LIFETIME: Final = timedelta(hours=12)
# Without use. It is noted within a minute, so a session ends after 29 to 30 minutes without one.
IDLE_LIMIT: Final = timedelta(minutes=30)
NOTED_AGAIN: Final = timedelta(minutes=1)
# Of one operator. The oldest ends when there would be more.
SESSIONS_LIMIT: Final = 20


class Session(NamedTuple):
    """A session, and its operator as of now."""

    id: int
    secret_hash: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    name: str
    role: str

    def is_over(self, now: datetime) -> bool:
        return now >= min(self.expires_at, self.used_at + IDLE_LIMIT)

    @property
    def caller(self) -> Caller:
        scopes = ROLES.get(self.role, frozenset())
        return Caller("operator", self.name, scopes, Maker(self.name, scopes))


_SESSIONS: Final = (
    select(*[session.c[name] for name in Session._fields[:5]], operator.c.name, operator.c.role)
    .join(operator, operator.c.id == session.c.operator)
    .where(operator.c.removed_at.is_(None))
)


def _over(now: datetime) -> ColumnElement[bool]:
    return or_(session.c.expires_at <= now, session.c.used_at <= now - IDLE_LIMIT)


class Sessions:
    """Finds sessions by their cookies. Each method raises Unavailable if the database fails."""

    def __init__(self, database: Database, authenticator: Authenticator) -> None:
        self._database = database
        self._authenticator = authenticator
        self._rows = Coalescer(self._fetch)
        self._noting: set[int] = set()

    async def find(self, cookie: str) -> Session | None:
        """Return the session, or None if it is over."""
        signing = await self._authenticator.signing()
        secret = secret_of(cookie, signing)
        if secret is None:
            return None
        found = await self._rows.fetch(hash_of(secret).hex())
        return None if found is None or found.is_over(signing.clock.now()) else found

    async def note_use(self, used: Session) -> None:
        """Note that the session is in use, at most once a minute. If that fails, the next use is noted."""
        now = (await self._authenticator.signing()).clock.now()
        if now < used.used_at + NOTED_AGAIN or used.id in self._noting:
            return
        self._noting.add(used.id)
        noted = update(session).where(session.c.id == used.id, session.c.used_at < now).values(used_at=now)
        try:
            with suppress(RequestError):
                await self._database.write(lambda connection: connection.execute(noted))
        finally:
            self._noting.discard(used.id)

    async def count_others(self, own: Session) -> int:
        """Return how many more sessions the operator has."""
        now = (await self._authenticator.signing()).clock.now()
        query = (
            select(func.count())
            .select_from(session.join(operator, operator.c.id == session.c.operator))
            .where(operator.c.name == own.name, session.c.id != own.id, ~_over(now))
        )

        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(query)).scalar_one()

        return await self._database.read(work)

    async def end(self, ended: Session, doer: Doer) -> None:
        """End the session: its operator signs out."""
        now = (await self._authenticator.signing()).clock.now()

        async def work(connection: AsyncConnection) -> None:
            if (await connection.execute(delete(session).where(session.c.id == ended.id))).rowcount:
                await write_audit(connection, now, doer, SIGNED_OUT, "operator", ended.name)

        await self._database.write(work)

    async def close(self) -> None:
        await self._rows.close()

    async def _fetch(self, hashes: Collection[str]) -> dict[str, Session]:
        query = _SESSIONS.where(session.c.secret_hash.in_(hashes))

        async def work(connection: AsyncConnection) -> dict[str, Session]:
            return {row[1]: Session._make(row) for row in await connection.execute(query)}

        return await self._database.read(work, reserved=True)


async def begin_session(
    connection: AsyncConnection, operator_id: int, secret: str, now: datetime, address: str
) -> datetime:
    """Write a session of the operator, whose row is locked. Return its end."""
    theirs = session.c.operator == operator_id
    kept = select(session.c.id).where(theirs).order_by(session.c.id.desc()).limit(SESSIONS_LIMIT - 1)
    ids = list((await connection.execute(kept)).scalars())
    await connection.execute(delete(session).where(theirs, or_(session.c.id.not_in(ids), _over(now))))
    values = {
        "secret_hash": hash_of(secret).hex(),
        "operator": operator_id,
        "address": address,
        "created_at": now,
        "used_at": now,
        "expires_at": now + LIFETIME,
    }
    await connection.execute(insert(session), values)
    return now + LIFETIME


def new_secret() -> str:
    return secrets.token_hex(32)
