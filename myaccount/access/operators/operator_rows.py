"""Operators: people who sign in with a name and a password. What they may do is in their role."""

import re
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ...database.database import Database
from ...errors import Unauthenticated
from ...ledger.makers import Doer
from ...model.access import operator, session
from ..audit_rows import (
    OPERATOR_ADDED,
    OPERATOR_REMOVED,
    PASSWORD_CHANGED,
    ROLE_CHANGED,
    SESSIONS_ENDED,
    write_audit,
)

_NAME: Final = re.compile("[A-Za-z0-9._-]{1,45}")
# As API keys have. An order tells who made it by one or the other.
_KEY_ID: Final = re.compile("[a-z0-9]{12}")


class OperatorRefused(Exception):
    """The operators do not allow what is wanted."""


class Operator(NamedTuple):
    """An operator as stored."""

    id: int
    name: str
    role: str
    password_hash: str
    created_at: datetime


class Own(NamedTuple):
    """By what operators change their passwords: the hash of the one that they gave, and their session."""

    password_hash: str
    session_id: int


_OPERATORS: Final = select(*[operator.c[name] for name in Operator._fields]).where(operator.c.removed_at.is_(None))


def is_name(text: str) -> bool:
    """Whether operators may have this name."""
    return _NAME.fullmatch(text) is not None and not _KEY_ID.fullmatch(text)


async def find_operator(connection: AsyncConnection, name: str, *, locked: bool = False) -> Operator | None:
    """Return the operator with that name. A `locked` one stays as it is until the transaction ends."""
    query = _OPERATORS.where(operator.c.name == name)
    found = (await connection.execute(query.with_for_update() if locked else query)).first()
    return None if found is None else Operator(*found)


async def list_operators(database: Database) -> list[Operator]:
    """Return the operators in the order of their names."""

    async def work(connection: AsyncConnection) -> list[Operator]:
        return [Operator(*row) for row in await connection.execute(_OPERATORS.order_by(operator.c.name))]

    return await database.read(work)


async def add_operator(
    database: Database, name: str, role: str, password_hash: str, now: datetime, doer: Doer
) -> None:
    """Add an operator. Raises OperatorRefused if there is one by that name. A removed one's name is free."""
    values = {"role": role, "password_hash": password_hash, "created_at": now, "removed_at": None}

    async def work(connection: AsyncConnection) -> None:
        named = operator.c.name == name
        earlier = (await connection.execute(select(operator).where(named).with_for_update())).first()
        if earlier is None:
            await connection.execute(insert(operator), {"name": name, **values})
        elif earlier.removed_at is not None:
            await connection.execute(update(operator).where(named).values(values))
        elif earlier.password_hash != password_hash:
            raise OperatorRefused(f"there is an operator by the name {name}.")
        await write_audit(connection, now, doer, OPERATOR_ADDED, "operator", name)

    await database.write(work)


async def change_password(
    database: Database, name: str, password_hash: str, now: datetime, doer: Doer, own: Own | None = None
) -> None:
    """Set the password, and end the sessions; an operator's `own` stays. Raises OperatorRefused.

    For an operator who does it, raises Unauthenticated if another has changed the password or ended the session.
    """

    async def work(connection: AsyncConnection) -> None:
        found = await _locked(connection, name)
        # It has ours if an earlier attempt was committed, but its answer was lost.
        if own is not None and found.password_hash != password_hash:
            await _check_own(connection, found, own)
        await _change(connection, found, password_hash=password_hash)
        await _end_sessions(connection, found, own.session_id if own else 0)
        await write_audit(connection, now, doer, PASSWORD_CHANGED, "operator", name)

    await database.write(work)


async def change_role(database: Database, name: str, role: str, now: datetime, doer: Doer) -> None:
    """Set the role, and end the sessions. Raises OperatorRefused."""

    async def work(connection: AsyncConnection) -> None:
        found = await _locked(connection, name)
        if found.role != role:
            await _change(connection, found, role=role)
            await _end_sessions(connection, found)
            await write_audit(connection, now, doer, ROLE_CHANGED, "operator", name)

    await database.write(work)


async def remove_operator(database: Database, name: str, now: datetime, doer: Doer) -> None:
    """Remove the operator, and end the sessions. Raises OperatorRefused."""

    async def work(connection: AsyncConnection) -> None:
        removed = select(operator.c.id).where(operator.c.name == name, operator.c.removed_at == now)
        if (await connection.execute(removed)).first() is not None:
            # The transaction was committed before, and its answer lost.
            return
        found = await _locked(connection, name)
        await _change(connection, found, removed_at=now)
        await _end_sessions(connection, found)
        await write_audit(connection, now, doer, OPERATOR_REMOVED, "operator", name)

    await database.write(work)


async def end_sessions(database: Database, name: str, now: datetime, doer: Doer, *, keep: int) -> None:
    """End the operator's sessions but for the one to keep. Raises OperatorRefused."""

    async def work(connection: AsyncConnection) -> None:
        if await _end_sessions(connection, await _locked(connection, name), keep):
            await write_audit(connection, now, doer, SESSIONS_ENDED, "operator", name)

    await database.write(work)


async def _locked(connection: AsyncConnection, name: str) -> Operator:
    found = await find_operator(connection, name, locked=True)
    if found is None:
        raise OperatorRefused(f"there is no operator by the name {name}.")
    return found


async def _check_own(connection: AsyncConnection, found: Operator, own: Own) -> None:
    """Raise Unauthenticated if the password or the session is not the operator's any more."""
    theirs = select(session.c.id).where(session.c.id == own.session_id, session.c.operator == found.id)
    has_session = (await connection.execute(theirs)).first() is not None
    if found.password_hash != own.password_hash or not has_session:
        raise Unauthenticated("The password was changed, or the session ended, meanwhile.")


async def _change(connection: AsyncConnection, changed: Operator, **values: object) -> None:
    await connection.execute(update(operator).where(operator.c.id == changed.id).values(values))


async def _end_sessions(connection: AsyncConnection, ended: Operator, keep: int = 0) -> bool:
    """Delete the sessions; return whether there were any."""
    theirs = delete(session).where(session.c.operator == ended.id, session.c.id != keep)
    return bool((await connection.execute(theirs)).rowcount)
