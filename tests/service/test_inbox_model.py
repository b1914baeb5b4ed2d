"""An inbox against a simple model, the cost of its pages, and the order of message ids."""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Integer, TextClause, cast, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.database.database import Database
from myaccount.database.pipeline import run_pipeline
from myaccount.inbox import page_queries, page_statements
from myaccount.inbox.page_queries import AskedPage, Page
from myaccount.inbox.page_statements import Cursor, InboxCounter, MessageFilter, Slice, select_slice
from myaccount.inbox.reading import Marker
from myaccount.inbox.writing import write_messages
from myaccount.model.inbox import counter, message

from ..conftest import Section, eventually
from ..helpers.actions import first_row
from ..helpers.inboxes import TYPES, add_team, add_users, new_message, rows_of, write


class Kept(NamedTuple):
    """A message of the model. `place` is its number among the messages of the example."""

    reader: str
    team: str
    message_type: str
    own: bool
    place: int


class Batch(NamedTuple):
    """Messages written in one transaction: reader, team, type, own."""

    rows: list[tuple[str, str, str, bool]]


class MarkSome(NamedTuple):
    reader: str
    places: set[int]


class MarkAll(NamedTuple):
    reader: str
    team: str
    up_to: int


class Question(NamedTuple):
    reader: str
    team: str
    own: bool | None
    message_type: str | None
    unread: bool | None
    before: tuple[bool, int] | None
    page_number: int
    page_size: int


# Most of one inbox, so that there are many in it.
readers = st.sampled_from(["a", "a", "a", "b", "c"])
teams = st.sampled_from(["", "", "", "x", "y"])
types = st.sampled_from(TYPES[:3])
# Numbers of messages, which may exist or not.
places = st.integers(0, 25)
rows = st.tuples(readers, teams, types, st.booleans())
batches = st.builds(Batch, st.lists(rows, min_size=4, max_size=12))
steps = st.one_of(
    batches,
    st.builds(MarkSome, readers, st.sets(places, max_size=12)),
    st.builds(MarkAll, readers, teams, places),
)
maybe = st.one_of(st.none(), st.booleans())
questions = st.builds(
    Question, readers, teams, maybe, st.one_of(st.none(), types), maybe,
    st.one_of(st.none(), st.tuples(st.booleans(), places)), st.integers(1, 4), st.integers(1, 4),
)  # fmt: skip
numbers = count()

# Of 40,000 rows: twelve unread and twelve read messages of each of ten parts, and again when they are merged.
ROWS_READ_LIMIT = 1000


class TestModel:
    @pytest.fixture(params=["as it costs less", "by their ends", "whole"], autouse=True)
    def _ways(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """How inboxes are read, and a few in each statement, as if they were many."""
        limits = {"by their ends": -1, "whole": 2**31}
        if request.param in limits:
            monkeypatch.setattr(page_statements, "SORTED_LIMIT", limits[request.param])
            monkeypatch.setattr(page_statements, "COUNTED_AT_ONCE", 2)
            monkeypatch.setattr(page_queries, "ROWS_AT_ONCE", 8)

    @settings(
        max_examples=60, derandomize=True, database=None,
        # All examples share one database; each has its own readers and teams.
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )  # fmt: skip
    @given(batches, st.lists(steps, min_size=3, max_size=10), st.lists(questions, min_size=5, max_size=15))
    async def test_an_inbox_is_read_and_counted_as_a_sorted_list(
        self, database: Database, first: Batch, then: list[Batch | MarkSome | MarkAll], asked: list[Question]
    ) -> None:
        marker, name = Marker(database), f"{next(numbers)}-"
        await add_users(database, *[f"{name}{reader}" for reader in "abc"])
        for team in "xy":
            await add_team(database, f"{name}{team}", *[f"{name}{reader}" for reader in "abc"])
        kept: list[Kept] = []
        ids: list[int] = []
        unread: set[int] = set()

        def id_at(place: int) -> int:
            """Return the id of a message, or an unused id if it does not exist."""
            return ids[place] if place < len(ids) else 2**62 + place

        for step in (first, *then):
            if isinstance(step, Batch):
                new = [
                    Kept(f"{name}{reader}", team and f"{name}{team}", kind, own, len(kept) + n)
                    for n, (reader, team, kind, own) in enumerate(step.rows)
                ]
                await write(
                    database,
                    *[new_message(m.reader, f"{name}{m.place}", m.message_type, team_id=m.team, own=m.own)
                      for m in new],
                )  # fmt: skip
                kept += new
                ids += await _newest_ids(database, len(new))
                unread |= {m.place for m in new}
            else:
                reader = f"{name}{step.reader}"
                if isinstance(step, MarkSome):
                    hit = {p for p in unread & step.places if kept[p].reader == reader}
                    marked = await marker.mark_messages(reader, [id_at(p) for p in step.places])
                else:
                    team = step.team and f"{name}{step.team}"
                    hit = {p for p in unread if p <= step.up_to and kept[p][:2] == (reader, team)}
                    marked = await marker.mark_all(reader, team, id_at(step.up_to))
                assert marked == len(hit)
                unread -= hit

        slices = [_asked(question, name, id_at) for question in asked]
        found = await database.read(partial(page_queries.find_pages, asked=slices))
        for question, slice_ in zip(asked, slices, strict=True):
            (filter_, _, number, size), page = slice_, found[slice_]
            assert isinstance(page, Page)
            fit = [
                (m.place in unread, m.place)
                for m in kept
                if m[:2] == filter_.inbox
                and question.own in (None, m.own)
                and question.message_type in (None, m.message_type)
                and question.unread in (None, m.place in unread)
            ]
            before = question.before
            rest = sorted((place for place in fit if before is None or place < before), reverse=True)
            expected = [(is_unread, ids[place]) for is_unread, place in rest[(number - 1) * size :][: size + 1]]
            assert [(m.unread, m.id) for m in page.messages] == expected[:size]
            assert page.more == (len(expected) > size)
            assert (page.total, page.unread) == (len(fit), sum(is_unread for is_unread, _ in fit))

        await _assert_counters_are_right(database)


def _asked(question: Question, name: str, id_at: Callable[[int], int]) -> AskedPage:
    """Return what is asked for; `name` begins the ids of the example's readers and teams."""
    reader, team, own, kind, unread, before, number, size = question
    filter_ = MessageFilter(f"{name}{reader}", team and f"{name}{team}", own, kind, unread)
    return AskedPage(filter_, before and Cursor(before[0], id_at(before[1])), number, size)


async def _newest_ids(database: Database, number: int) -> list[int]:
    newest = select(message.c.id).order_by(message.c.id.desc()).limit(number)
    return list(reversed(list(await database.read(lambda connection: connection.scalars(newest)))))


async def _assert_counters_are_right(database: Database) -> None:
    parts = (message.c.reader_id, message.c.team_id, message.c.message_type, message.c.own)
    counted = select(*parts, func.count(), func.sum(cast(message.c.unread, Integer))).group_by(*parts)
    there = await database.read(lambda connection: connection.execute(counted))
    assert sorted(map(tuple, await rows_of(database, counter))) == sorted(map(tuple, there))


class TestMariaDB:
    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    @pytest.mark.not_on("oceanbase", because="no counter tells that a session waits for a lock")
    @pytest.mark.usefixtures("long_locks")
    async def test_the_ids_of_a_readers_messages_grow_in_the_order_of_their_commits(
        self, database: Database
    ) -> None:
        """Else a stream could miss a message that is committed after one with a larger id."""
        await add_users(database, "u1", "u2", "u3")

        async def work(connection: AsyncConnection) -> asyncio.Task[None]:
            first = [new_message("u2", 1), new_message("u1", 2, TYPES[1])]
            await run_pipeline(connection, *write_messages(connection, first))
            # Of another type, so that the transactions share no counter.
            later = asyncio.create_task(write(database, new_message("u1", 3, TYPES[2])))

            async def waits() -> bool:
                # Not by information_schema: frequent queries of it get cached results.
                status = text("SHOW STATUS LIKE 'Innodb_row_lock_current_waits'")
                row = await database.read(lambda other: first_row(other, status))
                return later.done() or row == ("Innodb_row_lock_current_waits", "1")

            await eventually(waits)
            assert not later.done()
            # Other inboxes are not locked.
            await write(database, new_message("u3", 4))
            return later

        await (await database.write(work))
        ids = select(message.c.source_id).where(message.c.reader_id == "u1").order_by(message.c.id)
        assert list(await database.read(lambda connection: connection.scalars(ids))) == ["s2", "s3"]


@pytest.mark.not_on("mysql8", "oceanbase", "foreign", because="it reads MariaDB's own counters")
class TestCost:
    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        # All queries use one connection, so its counters count everything.
        return {"mysql": mysql_section | {"maxsize": 2}}

    async def test_a_page_of_a_large_inbox_reads_few_rows(self, database: Database) -> None:
        await add_users(database, "u1")
        await add_team(database, "x", "u1")

        async def fill(connection: AsyncConnection) -> None:
            for team in ("", "x"):
                for statement in _filling(team):
                    await connection.execute(statement)

        await database.write(fill)
        middle = select(func.avg(message.c.id)).group_by(message.c.team_id).order_by(message.c.team_id)
        middles = list(await database.read(lambda connection: connection.scalars(middle)))
        dear = []
        for team, place in zip(("", "x"), map(int, middles), strict=True):
            everything = MessageFilter("u1", team)
            for filter_ in [
                everything,
                *[everything._replace(unread=unread) for unread in (True, False)],
                *[everything._replace(own=own) for own in (True, False)],
                *[everything._replace(message_type=kind) for kind in TYPES],
                MessageFilter("u1", team, True, TYPES[0], True),
            ]:
                for before in (None, Cursor(True, place), Cursor(False, place)):
                    read = await _rows_read(database, filter_, before)
                    if read > ROWS_READ_LIMIT:
                        dear.append((read, filter_, before))
        assert dear == []

    async def test_a_page_of_a_small_inbox_reads_none_of_a_large_one_of_the_same_reader(
        self, database: Database
    ) -> None:
        await add_users(database, "u1")
        await write(database, *[new_message("u1", f"own{n}", TYPES[n % 3]) for n in range(40)])

        async def fill(connection: AsyncConnection) -> None:
            for statement in _filling("x"):
                await connection.execute(statement)

        await database.write(fill)
        for unread in (None, True):
            for before in (None, Cursor(True, 2**62)):
                filter_ = MessageFilter("u1", unread=unread)
                # Each is read from the index, sorted and then read whole.
                assert await _rows_read(database, filter_, before) < 5 * 40


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_sqlite_reads_each_slice_by_the_index_of_pages(database: Database) -> None:
    for size in (1, 1000):
        counters = [InboxCounter(kind, own, size, size // 2) for kind in TYPES for own in (False, True)]
        for slice_ in [
            Slice(MessageFilter("u1", team, own, kind, unread), before, 0, 13)
            for team in ("", "x") for own in (None, True) for kind in (None, TYPES[0])
            for unread in (None, True, False) for before in (None, Cursor(True, 7), Cursor(False, 7))
        ]:  # fmt: skip
            query, values = select_slice(0, slice_, counters, sqlite=True)
            explain = text(f"EXPLAIN QUERY PLAN {query % tuple(map(repr, values))}")
            plan = [row.detail for row in await database.read(partial(AsyncConnection.execute, statement=explain))]
            reads = [detail for detail in plan if " message " in detail]
            assert reads
            assert all("COVERING INDEX ix_message_reader_id (" in detail for detail in reads), (slice_, plan)


def _filling(team: str) -> list[TextClause]:
    """Return the statements that write 20,000 messages into ten parts of an inbox."""
    kinds = ",".join(f"'{kind}'" for kind in TYPES)
    columns = "reader_id, team_id, message_type, own"
    return [
        text(
            f"INSERT INTO message ({columns}, unread, source_id, user_id, user_name, team_name, receiver_id,"
            f" title, body, created_at) SELECT 'u1', '{team}', ELT(1 + seq % {len(TYPES)}, {kinds}),"
            f" seq DIV 7 % 2, seq % 3 = 0, seq, 'u1', 'N', '', '', '', '{{}}', '2026-01-01' FROM seq_1_to_20000"
        ),
        text(
            f"INSERT INTO folder SELECT {columns}, COUNT(*), SUM(unread) FROM message WHERE team_id = '{team}'"
            f" GROUP BY {columns}"
        ),
    ]


async def _rows_read(database: Database, filter_: MessageFilter, before: Cursor | None) -> int:
    """Return how many rows of tables, indexes and temporary tables the server read for a page."""
    await database.read(lambda connection: connection.execute(text("FLUSH STATUS")))
    asked = AskedPage(filter_, before, 1, 12)
    page = (await database.read(partial(page_queries.find_pages, asked=[asked])))[asked]
    assert isinstance(page, Page)
    if filter_.unread is not True or before is None or before.unread:
        assert len(page.messages) == 12, (filter_, before)
    status = text("SHOW SESSION STATUS LIKE 'Handler_read%'")
    return sum(int(row[1]) for row in await database.read(lambda connection: connection.execute(status)))
