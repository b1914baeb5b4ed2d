"""Wrong passwords are counted for each name and each address, by all processes together."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import insert, select

from myaccount.access.operators import attempts
from myaccount.access.operators.attempts import ROWS_LIMIT, WRONG_LIMIT, Refusals
from myaccount.appkeys import authenticator_key
from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.errors import RateLimited
from myaccount.main import create_app
from myaccount.model.access import audit
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server
from ..helpers.operators import PASSWORD, new_operator, quick_passwords

WRONG = "wrong horse battery staple"


class Answer(NamedTuple):
    status: int
    code: str
    # The seconds to wait.
    wait: int


@pytest.fixture
def queue() -> Section:
    return {"access": "keys", "trusted_proxies": ["127.0.0.1"]}


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with quick_passwords():
        yield


async def _try(client: Client, name: str, address: str, password: str = WRONG) -> Answer:
    fields = {"name": name, "password": password}
    headers = {"X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
    async with client.post("/signin", data=fields, headers=headers, allow_redirects=False) as response:
        code = "" if response.status == 303 else (await response.json(content_type=None))["code"]
        return Answer(response.status, code, int(response.headers.get("Retry-After", 0)))


def _address(number: int) -> str:
    return f"203.0.113.{number}"


@pytest.mark.parametrize("name", ["alice", "nobody", "no name of an operator"])
async def test_after_ten_wrong_passwords_for_a_name_no_other_is_checked(
    client: Client, database: Database, name: str
) -> None:
    await new_operator(database, "alice")
    await new_operator(database, "bob")
    for number in range(WRONG_LIMIT):
        assert (await _try(client, name, _address(number)))[:2] == (401, "unauthenticated")
    for password in (WRONG, PASSWORD):
        status, code, wait = await _try(client, name, "198.51.100.1", password)
        assert (status, code) == (429, "rate_limited")
        assert 800 < wait <= 900
    # Others go on, also from these addresses.
    assert (await _try(client, "bob", _address(0), PASSWORD)).status == 303


async def test_after_ten_wrong_passwords_from_an_address_it_is_refused(client: Client, database: Database) -> None:
    await new_operator(database, "alice")
    for number in range(WRONG_LIMIT):
        assert (await _try(client, f"guess{number}", "203.0.113.5")).status == 401
    assert (await _try(client, "alice", "203.0.113.5", PASSWORD))[:2] == (429, "rate_limited")
    assert (await _try(client, "alice", "203.0.113.6", PASSWORD)).status == 303


async def test_a_client_with_ipv6_is_refused_with_all_its_addresses(client: Client, database: Database) -> None:
    await new_operator(database, "alice")
    for number in range(WRONG_LIMIT):
        assert (await _try(client, f"guess{number}", f"2001:db8:0:7::{number}")).status == 401
    assert (await _try(client, "alice", "2001:db8:0:7:ffff::1", PASSWORD)).status == 429
    assert (await _try(client, "alice", "2001:db8:0:8::1", PASSWORD)).status == 303


async def test_nine_wrong_passwords_refuse_nobody_and_right_ones_do_not_count(
    client: Client, database: Database
) -> None:
    await new_operator(database, "alice")
    for _ in range(WRONG_LIMIT - 1):
        assert (await _try(client, "alice", "203.0.113.5")).status == 401
    for _ in range(WRONG_LIMIT + 1):
        assert (await _try(client, "alice", "203.0.113.5", PASSWORD)).status == 303
    assert (await _try(client, "alice", "203.0.113.5")).status == 401
    assert (await _try(client, "alice", "203.0.113.5")).status == 429


def _later(client: Client, time: timedelta) -> None:
    client.server.app[authenticator_key]._signing.clock._begin += time  # type: ignore[attr-defined]


async def test_a_quarter_of_an_hour_later_they_are_forgotten_and_refused_attempts_prolong_nothing(
    client: Client, database: Database
) -> None:
    await new_operator(database, "alice")
    for _ in range(WRONG_LIMIT):
        await _try(client, "alice", "203.0.113.5")
    for minutes in (5, 9):
        _later(client, timedelta(minutes=minutes))
        assert (await _try(client, "alice", "203.0.113.5")).status == 429
    _later(client, timedelta(minutes=1))
    assert (await _try(client, "alice", "203.0.113.5", PASSWORD)).status == 303


@pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
async def test_all_processes_count_together(config: Config, client: Client, database: Database) -> None:
    await new_operator(database, "alice")
    async with Server(create_app(config)) as server, ClientOf(server) as other:
        for number in range(WRONG_LIMIT):
            asked = (client, other)[number % 2]
            assert (await _try(asked, "alice", _address(number))).status == 401
        for asked in (client, other):
            assert (await _try(asked, "alice", "198.51.100.1", PASSWORD)).status == 429


async def test_what_is_refused_again_costs_no_query(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(WRONG_LIMIT + 1):
        answer = await _try(client, "alice", "203.0.113.5")
    assert answer.status == 429
    service = client.server.app[authenticator_key]._database  # type: ignore[attr-defined]

    async def fail(*args: object, **options: object) -> Any:
        raise AssertionError("a query")

    monkeypatch.setattr(service, "read", fail)
    monkeypatch.setattr(service, "write", fail)
    for number in range(50):
        assert (await _try(client, "alice", _address(number))).status == 429
        assert (await _try(client, f"guess{number}", "203.0.113.5")).status == 429


async def test_a_word_in_the_wrong_field_is_not_kept(client: Client, database: Database) -> None:
    await new_operator(database, "alice")
    assert (await _try(client, PASSWORD, "203.0.113.5", "alice")).status == 401
    rows = str(list(await database.read(lambda connection: connection.execute(select(audit)))))
    assert "sign_in_failed" in rows
    assert PASSWORD not in rows


async def test_other_rows_about_the_name_neither_count_nor_hide_what_counts(
    client: Client, database: Database
) -> None:
    await new_operator(database, "alice")
    row = {
        "at": utc_now(), "who_kind": "key", "who": "203.0.113.5", "what": "account_frozen",
        "about_kind": "account", "about": "alice", "address": "", "request_id": "-",
    }  # fmt: skip

    async def freeze() -> None:
        await database.write(lambda connection: connection.execute(insert(audit), [row] * ROWS_LIMIT))

    await freeze()
    for _ in range(WRONG_LIMIT):
        assert (await _try(client, "alice", "203.0.113.5")).status == 401
    await freeze()
    assert (await _try(client, "alice", "198.51.100.1")).status == 429


def test_a_process_remembers_no_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "REMEMBERED_LIMIT", 3)
    refusals, now, minute = Refusals(), utc_now(), timedelta(minutes=1)
    for name in "abcd":
        refusals.note("name", name, now + minute, now)
    assert len(refusals._until) == 3
    with pytest.raises(RateLimited):
        refusals.check("a", "", now)
    refusals.check("d", "", now)
    # Those that are over make room.
    refusals.note("name", "e", now + 2 * minute, now + minute)
    with pytest.raises(RateLimited):
        refusals.check("e", "", now + minute)
    refusals.check("a", "", now + minute)
    assert len(refusals._until) == 1
