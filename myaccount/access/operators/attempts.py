"""Wrong passwords: ten in 15 minutes, for a name or from an address, and no further one is checked.

The audit log has them, so that all processes count together. Refused attempts are not counted.
"""

import hmac
from datetime import datetime, timedelta
from ipaddress import IPv6Network
from types import MappingProxyType
from typing import Final

from sqlalchemy import Column, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ...errors import RateLimited
from ...model.access import audit
from ..audit_rows import SIGN_IN_FAILED
from ..doers import NO_ADDRESS

WRONG_LIMIT: Final = 10
WINDOW: Final = timedelta(minutes=15)
# Those of one name or address that are looked at, however many there are.
ROWS_LIMIT: Final = 1000
# How many names and addresses a process remembers.
REMEMBERED_LIMIT: Final = 10_000


class Refusals:
    """Until when names and addresses are refused, as far as this process has seen: these cost no query."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], datetime] = {}

    def check(self, name: str, address: str, now: datetime) -> None:
        """Raise RateLimited if either is refused."""
        until = max(self._until.get(("name", name), now), self._until.get(("address", address), now))
        if until > now:
            raise rate_limited(until - now)

    def note(self, kind: str, value: str, until: datetime, now: datetime) -> None:
        """Refuse the name or address until then."""
        if until <= now:
            return
        if len(self._until) >= REMEMBERED_LIMIT:
            self._until = {key: end for key, end in self._until.items() if end > now}
        if len(self._until) < REMEMBERED_LIMIT:
            self._until[kind, value] = until


def rate_limited(wait: timedelta) -> RateLimited:
    """Return the error for a name or address that is refused for so long."""
    error = RateLimited("There were too many wrong passwords for this name or from this address. Try again later.")
    # A whole second later rather than earlier.
    error.headers = MappingProxyType({"Retry-After": str(int(wait.total_seconds()) + 1)})
    return error


def source_of(address: str) -> str:
    """Return whom the attempts from an address count for. A client with IPv6 has a whole network of addresses."""
    return str(IPv6Network((address, 64), strict=False)) if ":" in address else address or NO_ADDRESS


def shown_name(name: str, secret: str) -> str:
    """Return what stands in the audit log for a name that there is not: perhaps a password in the wrong field."""
    return hmac.digest(secret.encode(), f"name\0{name}".encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


async def refused_until(
    connection: AsyncConnection, about: str, address: str, now: datetime
) -> tuple[datetime, datetime]:
    """Return until when the name, as it stands in the audit log, and the address are refused."""
    ends = []
    for column, value, index in ((audit.c.about, about, "ix_audit_about"), (audit.c.who, address, "ix_audit_who")):
        found = list((await connection.execute(_latest(column, value, index))).scalars())
        # The tenth back from now. If it is long ago, so is the end.
        ends.append(found[-1] + WINDOW if len(found) == WRONG_LIMIT else now)
    return ends[0], ends[1]


def _latest(column: Column[str], value: str, index: str) -> Select[datetime]:
    """Return the query of the times of the latest wrong passwords, latest first."""
    # A client that changes an account with an operator's name must not push the wrong passwords out of these rows.
    signing_in = audit.c.about_kind.in_(("operator", "name"))
    rows = select(audit.c.what, audit.c.at).where(column == value, signing_in)
    rows = rows.order_by(audit.c.id.desc()).limit(ROWS_LIMIT)
    for dialect in ("mysql", "mariadb"):
        # The optimiser might read the table backwards.
        rows = rows.with_hint(audit, f"FORCE INDEX ({index})", dialect)
    found = rows.subquery()
    wrong = select(found.c.at).where(found.c.what == SIGN_IN_FAILED)
    return wrong.order_by(found.c.at.desc()).limit(WRONG_LIMIT)
