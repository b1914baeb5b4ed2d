"""Random requests, with and without keys: none makes the service fail, and no key does what it may not do."""

import asyncio
import os
import secrets
import signal
from pathlib import Path

import aiohttp
import pytest

from myaccount.database.database import open_database
from myaccount.journal.verification import verify_books
from myaccount.settings.loading import load_configuration

from ..conftest import Section
from ..helpers.fuzz_callers import make_callers
from ..helpers.fuzz_checker import Checker, read_orders
from ..helpers.fuzz_client import FuzzClient
from ..helpers.fuzz_requests import Requests
from ..helpers.fuzz_values import CARD, TEAM, USERS, YEN_ACCOUNT, account_of
from ..helpers.services import Service, Start

# Of all cases together. `make soak` sends many more.
REQUESTS = int(os.environ.get("SOAK_REQUESTS", "20000")) // 4
# A failure tells it. The same seed makes the same requests again.
SEED = secrets.randbits(32)
ORDER_TYPES = {"01", "02", "03", "04", "05", "06", "07", "08"}
CODES = {
    "invalid_request", "not_found", "method_not_allowed", "payload_too_large", "unsupported_media_type",
    "cross_site", "order_not_found", "order_mismatch", "insufficient_funds",
}  # fmt: skip
CODES_BY_ACCESS = {"keys": {"unauthenticated", "not_allowed", "rate_limited"}, "open": {"unknown_host"}}


@pytest.mark.parametrize("access", ["keys", "open"])
async def test_random_requests_fail_nowhere_and_do_only_what_their_senders_may(
    start: Start, backend: Section, access: str
) -> None:
    service = await asyncio.to_thread(start, "python3", "myaccount", access=access, log_folder="", **backend)
    config = load_configuration(service.configuration, {})
    checker = Checker()
    async with open_database(config, Path(config["sqlite_file"])) as database:
        callers = await make_callers(database)
        if access == "open":
            callers = callers.of_open_service()
        await _open_accounts(service, callers.all[0].lines[0])
        port = config["port"]
        requests = Requests(SEED, callers, f"127.0.0.1:{port}")
        await FuzzClient(port, (requests.next() for _ in range(REQUESTS)), checker.check).run()
        assert not checker.faults, "\n\n".join([f"seed {SEED}", *checker.faults])
        assert service.end(signal.SIGTERM) == 0
        async with database.snapshot() as connection:
            rows, outside = await read_orders(connection)
        assert checker.faults_of_rows(rows, outside, callers.scopes_by_maker) == [], f"seed {SEED}"
        assert [difference async for difference in verify_books(database, lambda done, count: None)] == []
    log = service.output.read_text("utf-8")
    assert [secret for secret in (*callers.secrets, CARD, "Traceback") if secret in log] == [], f"seed {SEED}"
    # All sorts of orders happened, and of refusals.
    assert {row.order_type for row in rows if row.status == "posted"} == ORDER_TYPES
    assert checker.codes.keys() >= CODES | CODES_BY_ACCESS[access]


async def _open_accounts(service: Service, key: bytes) -> None:
    """Open an account with money for each user, one in another currency, and a team of all."""
    name, _, value = key.decode().partition(": ")
    more = {"userName": "N", "sex": "F", "cardNum": CARD, "accountType": "01"}
    steps = [
        *[("/openacc", {"userId": user, "accountId": account_of(user), **more}) for user in USERS],
        ("/addaccount", {"userId": USERS[0], "accountId": YEN_ACCOUNT, "accountType": "01", "currency": "JPY"}),
        ("/team", {"teamId": TEAM, "teamName": "Staff", "add": " ".join(USERS)}),
        *[
            ("/recharge", {"orderId": f"start{n}", "userId": user, "amount": "9000"})
            for n, user in enumerate(USERS)
        ],
        ("/recharge", {"orderId": "yen", "accountId": YEN_ACCOUNT, "amount": "9000"}),
    ]
    async with aiohttp.ClientSession(service.address, headers={name: value}) as session:
        for path, fields in steps:
            async with session.post(path, data=fields) as response:
                assert response.status == 200, await response.text()
