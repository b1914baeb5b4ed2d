"""Fixtures of the tests in a browser, which share one event loop: Playwright's own process belongs to one."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient
from playwright.async_api import Browser, async_playwright, expect

from myaccount.main import create_app
from myaccount.settings.schema import Config

from ..conftest import PATIENCE_SECONDS, Client, Section, Server
from ..helpers.browsers import Chromium

# A page on a machine that stands still is not wrong yet.
expect.set_options(timeout=1000 * PATIENCE_SECONDS)


@pytest.fixture(autouse=True)
def _never_away(never_away: None) -> None:
    """A database on a slow machine is not away."""


# Of the same loop as the tests.
in_one_loop = partial(pytest_asyncio.fixture, loop_scope="session")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: Chromium) -> AsyncIterator[Browser]:
    """The browser, with no page of an earlier test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium.address)
        yield browser
        await browser.close()


@pytest.fixture
def backend() -> Section:
    """The pages do not know which database there is."""
    return {}


@in_one_loop
async def client(config: Config) -> AsyncIterator[Client]:
    """The service, answering on the port of its configuration."""
    async with TestClient(Server(create_app(config), port=config["port"])) as client:
        yield client
