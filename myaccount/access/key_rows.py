"""API keys: `mak_<id>_<secret>`. The id is public; of the secret only a hash is kept.

Keys with one name belong to one client: a rotation adds a key, and lets the earlier ones expire.
"""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..ledger.makers import Doer
from ..model.access import api_key
from .audit_rows import COMMAND_LINE, KEY_CREATED, KEY_REVOKED, KEY_ROTATED, write_audit

KEY_PATTERN: Final = "mak_([a-z0-9]{12})_([0-9a-f]{64})"
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


class KeyRefused(Exception):
    """The keys of that name do not allow what is wanted."""


class KeyRow(NamedTuple):
    """A key as it is stored."""

    key_id: str
    name: str
    secret_hash: str
    scopes: str
    rate_per_second: int | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def works(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


_ROWS: Final = select(*[api_key.c[name] for name in KeyRow._fields]).order_by(api_key.c.id)
_NOT_REVOKED: Final = _ROWS.where(api_key.c.revoked_at.is_(None))


def hash_of(secret: str) -> bytes:
    # It is random, so that a slow hash would protect it no better.
    return sha256(secret.encode()).digest()


async def find_keys(connection: AsyncConnection) -> list[KeyRow]:
    """Return the keys that are not revoked. Some may have expired."""
    return [KeyRow(*row) for row in await connection.execute(_NOT_REVOKED)]


async def list_keys(database: Database) -> list[KeyRow]:
    """Return all keys, oldest first."""

    async def work(connection: AsyncConnection) -> list[KeyRow]:
        return [KeyRow(*row) for row in await connection.execute(_ROWS)]

    return await database.read(work)


async def create_key(
    database: Database,
    name: str,
    scopes: Collection[str],
    now: datetime,
    *,
    rate_per_second: int | None = None,
    lifetime: timedelta | None = None,
    doer: Doer = COMMAND_LINE,
) -> str:
    """Return a new key. Raises KeyRefused if one by that name works."""
    row, key = _new_key(name, ",".join(scopes), now, rate_per_second, lifetime)

    async def work(connection: AsyncConnection) -> None:
        working = await _working(connection, name, now)
        if row.key_id in working:
            # An earlier attempt was committed, but its answer was lost.
            return
        if working:
            raise KeyRefused(f"there is a key by the name {name}. Rotate it, or choose another name.")
        await connection.execute(insert(api_key), row._asdict())
        await write_audit(connection, now, doer, KEY_CREATED, "key", name)

    await database.write(work)
    return key


async def rotate_key(
    database: Database, name: str, overlap: timedelta, now: datetime, doer: Doer = COMMAND_LINE
) -> str:
    """Return a new key with what the last one by that name has; those that work expire when the overlap is over.

    Raises KeyRefused if none works.
    """
    secret = _new_key(name, "", now, None, None)

    async def work(connection: AsyncConnection) -> None:
        working = await _working(connection, name, now)
        if not working:
            raise KeyRefused(f"no key by the name {name} works. Create one.")
        row, _ = secret
        if row.key_id in working:
            return
        *_, last = working.values()
        expires_at = None if last.expires_at is None else now + (last.expires_at - last.created_at)
        for earlier in working.values():
            end = min(now + overlap, earlier.expires_at or datetime.max)
            change = update(api_key).where(api_key.c.key_id == earlier.key_id).values(expires_at=end)
            await connection.execute(change)
        new = row._replace(scopes=last.scopes, rate_per_second=last.rate_per_second, expires_at=expires_at)
        await connection.execute(insert(api_key), new._asdict())
        await write_audit(connection, now, doer, KEY_ROTATED, "key", name)

    await database.write(work)
    return secret[1]


async def revoke_keys(database: Database, name: str, now: datetime, doer: Doer = COMMAND_LINE) -> None:
    """End all keys by that name. Raises KeyRefused if there is none."""

    async def work(connection: AsyncConnection) -> bool:
        named = api_key.c.name == name
        revoke = update(api_key).where(named, api_key.c.revoked_at.is_(None)).values(revoked_at=now)
        if (await connection.execute(revoke)).rowcount:
            await write_audit(connection, now, doer, KEY_REVOKED, "key", name)
        return (await connection.execute(select(api_key.c.id).where(named).limit(1))).first() is not None

    if not await database.write(work):
        raise KeyRefused(f"there is no key by the name {name}.")


def _new_key(
    name: str, scopes: str, now: datetime, rate_per_second: int | None, lifetime: timedelta | None
) -> tuple[KeyRow, str]:
    """Return the row of a new key, and the key."""
    key_id = "".join(secrets.choice(_LETTERS) for _ in range(12))
    secret = secrets.token_hex(32)
    expires_at = None if lifetime is None else now + lifetime
    row = KeyRow(key_id, name, hash_of(secret).hex(), scopes, rate_per_second, now, expires_at)
    return row, f"mak_{key_id}_{secret}"


async def _working(connection: AsyncConnection, name: str, now: datetime) -> dict[str, KeyRow]:
    """Return the keys by that name that work, oldest first, by their ids."""
    rows = [KeyRow(*row) for row in await connection.execute(_NOT_REVOKED.where(api_key.c.name == name))]
    return {row.key_id: row for row in rows if row.works(now)}
