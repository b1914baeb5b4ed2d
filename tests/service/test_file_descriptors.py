"""A service without a free file descriptor, as under a flood of connections."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from myaccount.database.database import Database

from ..conftest import Client
from ..helpers.actions import open_users, send
from ..helpers.inboxes import until_dispatched

resource = pytest.importorskip("resource", reason="Windows has no such limit")


@contextmanager
def _no_descriptor_is_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_pages_orders_and_messages_need_no_file_descriptor(client: Client, database: Database) -> None:
    await open_users(client, "u1")
    await until_dispatched(database)
    with _no_descriptor_is_left():
        for path in ("/", "/errors", "/rechargetest", "/messagestest", "/static/form.js", "/favicon.ico"):
            async with client.get(path) as response:
                assert response.status == 200, path
        async with client.get("/nowhere", headers={"Accept": "text/html"}) as response:
            assert (response.status, response.content_type) == (404, "text/html")
        assert (await send(client, "/recharge", orderId="r1", userId="u1", amount="1"))[0] == 200
        for language in ("zh", "en"):
            async with client.get("/messages", params={"userId": "u1", "language": language}) as response:
                assert response.status == 200
