"""Signing in: a name and a password become a session's cookie."""

from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ...database.database import Database
from ...errors import Unauthenticated
from ...ledger.makers import Doer
from ...model.access import session
from ..audit_rows import SIGN_IN_FAILED, SIGNED_IN, write_audit
from ..authentication import Authenticator
from ..key_rows import hash_of
from .attempts import Refusals, rate_limited, refused_until, shown_name, source_of
from .cookies import make_cookie
from .operator_rows import Operator, Own, change_password, find_operator, is_name
from .passwords import Passwords
from .sessions import LIFETIME, begin_session, new_secret

WRONG: Final = "The name or the password is wrong."


class SignIn:
    """Each method raises Unavailable, and Overloaded if too many people sign in at once."""

    def __init__(self, database: Database, authenticator: Authenticator) -> None:
        self._database = database
        self._authenticator = authenticator
        self._passwords = Passwords()
        self._refusals = Refusals()

    async def begin(self, name: str, password: str, doer: Doer) -> str:
        """Return the cookie of a new session. Raises Unauthenticated and RateLimited."""
        checked = await self._check(name, password, doer)
        signing = await self._authenticator.signing()
        now, secret = signing.clock.now(), new_secret()
        known = doer._replace(kind="operator", id=name)

        async def work(connection: AsyncConnection) -> None:
            # Locked, and read again: the password may have been changed meanwhile.
            if await find_operator(connection, name, locked=True) != checked:
                raise Unauthenticated(WRONG)
            mine = select(session.c.id).where(session.c.secret_hash == hash_of(secret).hex())
            if (await connection.execute(mine)).first() is None:
                await begin_session(connection, checked.id, secret, now, doer.address)
            await write_audit(connection, now, known, SIGNED_IN, "operator", name)

        await self._database.write(work)
        return make_cookie(secret, now + LIFETIME, signing)

    async def change_password(self, name: str, password: str, new: str, doer: Doer, *, keep: int) -> None:
        """Set an operator's password, and end the sessions but for the one to keep.

        Raises Unauthenticated if the password so far is wrong or was changed meanwhile, and RateLimited.
        """
        checked = await self._check(name, password, doer)
        async with self._passwords.turn():
            new_hash = await self._passwords.hash(new)
        own = Own(checked.password_hash, keep)
        await change_password(self._database, name, new_hash, await self._now(), doer, own)

    def close(self) -> None:
        self._passwords.close()

    async def _check(self, name: str, password: str, doer: Doer) -> Operator:
        """Return the operator with that name and password. Raises Unauthenticated and RateLimited."""
        signing = await self._authenticator.signing()
        source = source_of(doer.address)
        self._refusals.check(name, source, signing.clock.now())
        async with self._passwords.turn():
            now = signing.clock.now()
            self._refusals.check(name, source, now)
            found, until = await self._look_up(name, source, shown_name(name, signing.secret), now)
            self._refusals.note("name", name, until[0], now)
            self._refusals.note("address", source, until[1], now)
            if max(until) > now:
                raise rate_limited(max(until) - now)
            if await self._passwords.is_right(password, found and found.password_hash) and found is not None:
                return found
            failed = doer._replace(kind="nobody", id=source)
            about = ("operator", name) if found else ("name", shown_name(name, signing.secret))
            await self._database.write(
                lambda connection: write_audit(connection, now, failed, SIGN_IN_FAILED, *about)
            )
        raise Unauthenticated(WRONG)

    async def _look_up(
        self, name: str, source: str, hidden: str, now: datetime
    ) -> tuple[Operator | None, tuple[datetime, datetime]]:
        """Return the operator, and until when the name and the address are refused."""

        async def work(connection: AsyncConnection) -> tuple[Operator | None, tuple[datetime, datetime]]:
            found = await find_operator(connection, name) if is_name(name) else None
            about = name if found else hidden
            return found, await refused_until(connection, about, source, now)

        return await self._database.read(work)

    async def _now(self) -> datetime:
        return (await self._authenticator.signing()).clock.now()
