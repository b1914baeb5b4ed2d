"""The audit log: who did what, about what. A row is written in the transaction of what it tells, and stays."""

from datetime import datetime
from typing import Final

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..ledger.makers import Doer
from ..model.access import audit

COMMAND_LINE: Final = Doer("command line", "command line")

# What rows tell. Changes of accounts are called as in ledger/changes.py.
KEY_CREATED: Final = "key_created"
KEY_ROTATED: Final = "key_rotated"
KEY_REVOKED: Final = "key_revoked"
OPERATOR_ADDED: Final = "operator_added"
OPERATOR_REMOVED: Final = "operator_removed"
ROLE_CHANGED: Final = "role_changed"
PASSWORD_CHANGED: Final = "password_changed"  # noqa: S105 - no password
SESSIONS_ENDED: Final = "sessions_ended"
SIGNED_IN: Final = "signed_in"
SIGN_IN_FAILED: Final = "sign_in_failed"
SIGNED_OUT: Final = "signed_out"
EVENTS_RESENT: Final = "events_resent"
EVENTS_DROPPED: Final = "events_dropped"


async def write_audit(
    connection: AsyncConnection, at: datetime, doer: Doer, what: str, about_kind: str, about: str
) -> None:
    """Write a row, unless it is there: the transaction may run again although it was committed."""
    row = {
        "at": at,
        "who_kind": doer.kind,
        "who": doer.id,
        "what": what,
        "about_kind": about_kind,
        "about": about,
        "address": doer.address,
        "request_id": doer.request_id,
    }
    at_once = select(*[audit.c[name] for name in row]).where(audit.c.at == at)
    if row not in [dict(found) for found in (await connection.execute(at_once)).mappings()]:
        await connection.execute(insert(audit), row)
