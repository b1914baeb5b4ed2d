"""`myaccount audit`: prints the audit log."""

import argparse
import asyncio
from datetime import datetime
from typing import Final

from ..access.audit_log import AuditFilter, list_audit
from ..controller.field_kinds import MOMENT
from ..controller.messages import NID_LIMIT
from ..settings.schema import Config
from .arguments import Commands, Options
from .ready_database import ready_database

# How many rows one transaction reads.
PAGE_SIZE: Final = 1000


def add_commands(commands: Commands) -> None:
    audit = commands.add(
        "audit",
        "print who changed what in keys, operators, accounts and dead letters, and who signed in; newest first",
        lambda config, options: asyncio.run(_print(config, options)),
        cannot="show the audit log",
    )
    audit.add_argument("--who", help="a key's id, an operator's name, 'command line', or an address")
    audit.add_argument("--what", help="such as key_created, account_frozen or sign_in_failed")
    audit.add_argument("--about", help="a name, or the id of an account")
    audit.add_argument("--from", dest="since", metavar="TIME", type=_time, help="such as 2026-01-02T03:04:05Z")
    audit.add_argument("--to", dest="until", metavar="TIME", type=_time, help="rows before this time")


def _time(text: str) -> datetime:
    try:
        time: datetime = MOMENT.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"it {error}") from None
    return time


async def _print(config: Config, options: Options) -> int:
    """Print the rows, one a line."""
    wanted = AuditFilter(options.who, options.what, options.about, options.since, options.until)
    before = NID_LIMIT
    async with ready_database(config) as database:
        while rows := await list_audit(database, wanted, before, PAGE_SIZE):
            for row in rows:
                who = row.who if row.who_kind in ("command line", "nobody") else f"{row.who_kind} {row.who}"
                place = f" from {row.address}" if row.address and row.address != row.who else ""
                request = "" if row.request_id == "-" else f" [{row.request_id}]"
                print(
                    f"{row.at:%Y-%m-%dT%H:%M:%SZ}{request} {who}{place}: {row.what} {row.about_kind} {row.about}"
                )
            before = rows[-1].id
    return 0
