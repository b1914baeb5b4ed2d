"""Callers of every sort for random requests, with the scopes that the contract (access.md) gives them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.access.audit_rows import SIGN_IN_FAILED, write_audit
from myaccount.access.key_rows import revoke_keys
from myaccount.access.operators.attempts import WRONG_LIMIT
from myaccount.access.operators.cookies import PLAIN_NAME, make_cookie
from myaccount.access.operators.operator_rows import find_operator
from myaccount.access.operators.sessions import SESSIONS_LIMIT, begin_session, new_secret
from myaccount.access.signing import Signing, read_signing
from myaccount.access.tokens import make_token
from myaccount.database.database import Database
from myaccount.ledger.makers import Doer

from .callers import ALL, new_key
from .fuzz_values import USERS
from .operators import new_operator

MONEY: Final = ("money:in", "money:move", "money:out")
READER: Final = ("accounts:read", "orders:read", "messages:read")
OPERATOR: Final = (*READER, *MONEY, "accounts:open", "accounts:manage", "messages:write", "operate")
# As docs/operations.rst has them.
ROLES: Final[Mapping[str, Sequence[str]]] = {
    "reader": READER,
    "operator": OPERATOR,
    "admin": (*OPERATOR, "admin"),
}
# Signs out, and ends sessions, again and again.
LEAVER: Final = "leaver"
ADDRESS: Final = "127.0.0.1"
PASSWORD: Final = "a password that nobody sends"
WRONG_SECRET: Final = "0" * 64
HOUR: Final = timedelta(hours=1)


class Caller(NamedTuple):
    """Who sends a request: the lines of its header that say so, the scopes, and what its orders are made by.

    A caller that the service does not know has no scopes.
    """

    name: str
    lines: tuple[bytes, ...]
    scopes: frozenset[str] = frozenset()
    made_by: str | None = None


class Callers(NamedTuple):
    """All callers. The first may do everything; the leavers are for routes that end sessions."""

    all: Sequence[Caller]
    leavers: Sequence[Caller]
    # Of users, right ones and wrong ones, for the address of a stream.
    tokens: Sequence[str]
    # No log may have them.
    secrets: Sequence[str]

    @property
    def scopes_by_maker(self) -> dict[str | None, frozenset[str]]:
        return {caller.made_by: caller.scopes for caller in (*self.all, *self.leavers) if caller.scopes}

    def of_open_service(self) -> "Callers":
        """Return the same callers of a service where everybody may do everything, and nobody has a name."""
        everybody = [caller._replace(scopes=frozenset(ALL), made_by=None) for caller in self.all]
        return self._replace(all=everybody, leavers=everybody)


async def make_callers(database: Database) -> Callers:
    """Make keys, operators with sessions, and users' tokens."""
    signing = await database.read(read_signing)
    now = signing.clock.now()
    await _have_passwords_refused(database, now)
    scopes = {"shop": ALL, "till": MONEY, **{scope.replace(":", "."): (scope,) for scope in ALL}}
    keys = {name: await new_key(database, name, *having) for name, having in scopes.items()}
    slow = await new_key(database, "slow", *ALL, rate=1)
    expired = await new_key(database, "expired", *ALL, now=now - 2 * HOUR, lifetime=HOUR)
    revoked = await new_key(database, "revoked", *ALL)
    await revoke_keys(database, "revoked", now)
    sessions = {role: (await _sessions(database, signing, role, role, 1))[0] for role in ROLES}
    leavers = await _sessions(database, signing, LEAVER, "admin", SESSIONS_LIMIT)
    tokens = [make_token(user, now + 9 * HOUR, signing) for user in (USERS[0], USERS[6])]
    old = make_token(USERS[0], now - HOUR, signing)
    known = (
        *[_key(name, key, scopes[name]) for name, key in keys.items()],
        _key("slow", slow, ALL),
        # Of two callers in one request, the one in the header counts.
        _key("key before cookie", keys["tokens"], scopes["tokens"], _cookie(sessions["admin"])),
        *[Caller(role, (_cookie(sessions[role]),), frozenset(ROLES[role]), role) for role in ROLES],
        *[Caller("token", (_bearer(token),), frozenset(("own",))) for token in tokens],
    )
    unknown = _unknown(keys["shop"], sessions["admin"], tokens[0], [expired, revoked, old])
    return Callers(
        (*known, *[Caller("unknown", lines) for lines in unknown]),
        [Caller(LEAVER, (_cookie(cookie),), frozenset(ROLES["admin"]), LEAVER) for cookie in leavers],
        (*tokens, old, f"{tokens[0]}x", "%C3%A9.%C3%A9", "%FF"),
        (
            *[key.split("_")[2] for key in (*keys.values(), slow, expired, revoked)],
            *(*sessions.values(), *leavers, *tokens, old, PASSWORD, WRONG_SECRET),
        ),
    )


async def _have_passwords_refused(database: Database, now: datetime) -> None:
    """Let ten sign-ins from here have failed, so that no password is checked, which takes long on purpose."""

    async def fail(connection: AsyncConnection) -> None:
        for number in range(WRONG_LIMIT):
            failed = Doer("nobody", ADDRESS, ADDRESS, str(number))
            await write_audit(connection, now, failed, SIGN_IN_FAILED, "name", "nobody")

    await database.write(fail)


async def _sessions(database: Database, signing: Signing, name: str, role: str, count: int) -> list[str]:
    """Make an operator; return the cookies of so many sessions."""
    await new_operator(database, name, role, PASSWORD)
    secrets = [new_secret() for _ in range(count)]

    async def begin(connection: AsyncConnection) -> list[str]:
        found = await find_operator(connection, name)
        assert found is not None
        now = signing.clock.now()
        ends = [await begin_session(connection, found.id, secret, now, ADDRESS) for secret in secrets]
        return [make_cookie(secret, end, signing) for secret, end in zip(secrets, ends, strict=True)]

    return await database.write(begin)


def _unknown(key: str, cookie: str, token: str, over: Sequence[str]) -> list[tuple[bytes, ...]]:
    """Return the lines of callers that do not work; `over` is what worked before."""
    wrong = f"mak_{key.split('_')[1]}_{WRONG_SECRET}"
    broken = (wrong, key[:-1], f"{key}0", key.upper(), f"{token}x", token[1:], cookie, "mak_", "")
    return [
        (),
        *[(_bearer(secret),) for secret in (*over, *broken)],
        *[(_cookie(secret),) for secret in (f"{cookie}x", key, token, "")],
        (b"Authorization: Basic " + key.encode(),),
        (b"Authorization: " + key.encode(),),
        (b"Authorization: Bearer \xff",),
        (b"X-API-Key: " + key.encode(),),
        (_bearer(wrong), _cookie(cookie)),
        (_bearer(wrong), _bearer(key)),
    ]


def _key(name: str, key: str, scopes: Sequence[str], *more: bytes) -> Caller:
    return Caller(name, (_bearer(key), *more), frozenset(scopes), key.split("_")[1])


def _bearer(secret: str) -> bytes:
    return f"Authorization: Bearer {secret}".encode()


def _cookie(cookie: str) -> bytes:
    return f"Cookie: {PLAIN_NAME}={cookie}".encode()
