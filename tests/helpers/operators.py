"""Operators of a running service, and clients that sign in."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache

import pytest
from aiohttp import ClientResponse, CookieJar

from myaccount.access.audit_rows import COMMAND_LINE
from myaccount.access.operators import passwords
from myaccount.access.operators.operator_rows import add_operator
from myaccount.access.operators.passwords import hash_password
from myaccount.database.database import Database
from myaccount.database.times import utc_now

from ..conftest import Client, ClientOf

PASSWORD = "correct horse battery staple"
BROWSER = {"Accept": "text/html,*/*"}


@contextmanager
def quick_passwords() -> Iterator[None]:
    """Hash passwords as they are, with less work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "COST", passwords.Cost(n=2, p=1))
        yield


@cache
def _quick_hash(password: str) -> str:
    with quick_passwords():
        return hash_password(password)


async def new_operator(database: Database, name: str, role: str = "operator", password: str = PASSWORD) -> None:
    await add_operator(database, name, role, _quick_hash(password), utc_now(), COMMAND_LINE)


async def sign_in(client: Client, name: str, password: str = PASSWORD, **more: str) -> ClientResponse:
    """Send the form of the page, without a redirect; return the reply."""
    fields = {"name": name, "password": password, **more}
    async with client.post("/signin", data=fields, allow_redirects=False) as response:
        await response.read()
    return response


@asynccontextmanager
async def signed_in(client: Client, name: str, password: str = PASSWORD) -> AsyncIterator[Client]:
    """Give another client of the same server, with a session of its own."""
    # The servers of tests have addresses and no names.
    async with ClientOf(client.server, cookie_jar=CookieJar(unsafe=True)) as own:
        assert (await sign_in(own, name, password)).status == 303
        yield own
