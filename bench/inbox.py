"""A page of an inbox of a million messages: how long the database takes for it, with the driver and all."""

import asyncio
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

from myaccount.database.database import open_database
from myaccount.inbox.page_queries import AskedPage, Page, find_pages
from myaccount.inbox.page_statements import Cursor, MessageFilter
from myaccount.settings.schema import CONFIGURATION

from .databases import BenchMariaDB

MESSAGES = 1_000_000
TIMES = 200

# Half of them of the reader's own account; half of a team, a fifth of those the reader's own business. Five types
# of each, and one in fifty unread.
FILL = """
INSERT INTO message (reader_id, team_id, message_type, own, unread, source_id, user_id, user_name, team_name,
                     receiver_id, title, body, created_at)
SELECT 'u1', IF(seq MOD 2, '', 'T'), ELT(1 + seq DIV 2 MOD 5, 'recharge', 'transfer_out', 'transfer_in', 'decline',
       'account_opened'), seq MOD 2 OR seq MOD 10 = 0, seq MOD 100 < 2, CONCAT('o', seq), 'u2', 'N', 'N', 'u1', '',
       '{{"orderId": "o", "amount": "1.00", "currency": "CNY", "balance": "1.00"}}', UTC_TIMESTAMP(6)
FROM seq_1_to_{messages};
INSERT INTO folder SELECT reader_id, team_id, message_type, own, COUNT(*), SUM(unread) FROM message
GROUP BY reader_id, team_id, message_type, own;
ANALYZE TABLE message
"""

ACCOUNT = MessageFilter("u1")
PAGES: dict[str, tuple[MessageFilter, Cursor | None, int]] = {
    "first page": (ACCOUNT, None, 1),
    "unread": (ACCOUNT._replace(unread=True), None, 1),
    "one type": (ACCOUNT._replace(message_type="transfer_in"), None, 1),
    "team": (ACCOUNT._replace(team_id="T"), None, 1),
    "team, self": (ACCOUNT._replace(team_id="T", own=True), None, 1),
    "cursor, middle": (ACCOUNT, Cursor(False, MESSAGES // 2), 1),
    "page 100": (ACCOUNT, None, 100),
    "page 10,000": (ACCOUNT, None, 10_000),
}


def measure(folder: Path, mariadb: BenchMariaDB) -> dict[str, dict[str, Any]]:
    """Return, by page, how many were read a second by one reader, and their latency in milliseconds."""
    name = mariadb.filled_database(10)
    mariadb.run(name, FILL.format(messages=MESSAGES))
    return asyncio.run(_read(folder, mariadb.mysql_section(name)))


async def _read(folder: Path, mysql: dict[str, Any]) -> dict[str, dict[str, Any]]:
    config = CONFIGURATION.check({"mysql": mysql, "log_folder": str(folder)})
    results = {}
    async with open_database(config, folder) as database:
        for name, (filter_, before, number) in PAGES.items():
            times_ms = []
            for _ in range(TIMES if number < 1000 else 5):
                began = time.perf_counter()
                asked = AskedPage(filter_, before, number, 12)
                page = (await database.read(partial(find_pages, asked=[asked])))[asked]
                times_ms.append((time.perf_counter() - began) * 1000)
                if not isinstance(page, Page) or len(page.messages) != 12:
                    raise RuntimeError(f"{name}: {page}")
            results[name] = {
                "rate": 1000 / statistics.mean(times_ms),
                "p50_ms": statistics.median(times_ms),
                "p99_ms": sorted(times_ms)[-1 - len(times_ms) // 100],
            }
    return results
