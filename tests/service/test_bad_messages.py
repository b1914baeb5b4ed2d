"""Bad input about messages and teams gets a 4xx that names the field, never a 500, and changes nothing."""

import asyncio
import json
import re
import sys
from string import punctuation
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from yarl import URL

from myaccount.database.database import Database
from myaccount.inbox.wording import LANGUAGES as LANGUAGES_SHOWN
from myaccount.inbox.wording import MESSAGE_TYPES
from myaccount.model.inbox import counter, message, team, team_member
from myaccount.settings.paths import resource

from ..conftest import Client
from ..helpers.inboxes import add_team, add_users, new_message, rows_of, write

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
INVALID = (400, "invalid_request")
BIG = 2**63 - 1


class Case(NamedTuple):
    """A bad request. Text is sent as a query or a form, anything else as JSON."""

    path: str
    sent: str | bytes | dict[str, Any] | list[Any]
    field: str | None
    refusal: tuple[int, str] = INVALID


# JSON values of the wrong type or content.
NO_TEXT: list[Any] = [0, 1.5, True, None, [], ["u1"], {}, "", "\x00", "\ud800"]
NO_NUMBER: list[Any] = [1.0, -1, True, None, [], [1], {}, "", " 1", "１", 10**300, "\x00", "\ud800"]
NO_FLAG: list[Any] = [0, 1, None, [], [True], {}, "", "True"]
NO_NIDS: list[Any] = [
    1, True, None, {}, {"1": 1}, [[1]], [[]], [None], [True], [1.5], [1.0], [-1], [""], [" 1"], ["１"], [BIG],
    [10**300], [{}], [1, "x"], ["1 2"], ["\x00"], ["\ud800"], "x", "1\x00",
]  # fmt: skip
NO_IDS: list[Any] = [
    1, True, None, {}, {"u1": 1}, [1], [None], [True], [["u1"]], [[]], [""], [" "], ["a b"], ["a" * 46], ["\x00"],
    ["\ud800"], ["u1", 1], "a" * 46, "u1 \x00", "u1 \ud800",
]  # fmt: skip

# Values for queries and forms.
NUMBERS = ["", "0", "-1", "%2B1", "+1", "1.0", "1e2", "1_0", "0x1", "NaN", "１", "%EF%BC%91", "%D9%A1", "%C2%B2",
           "1%00", "%00", "1%0A", "9" * 19, "9" * 20, "9" * 5000, str(BIG), "true"]  # fmt: skip
FLAGS = ["", "1", "0", "True", "TRUE", "yes", "null", "true%00", "true+", "%EF%BD%94rue"]
IDS = ["", "+", "a+b", "a%09", "a%0Ab", "a%00", "%00", "a" * 46, "%C2%A0", "%E3%80%80", "%C2%85", "%7F"]
CURSORS = ["", "5", "unread", "unread-", "-5", "unread--5", "unread-+5", "unread-5-5", "UNREAD-5", "new-5",
           "unread_5", "read-５", "read-%C2%B2", "read-5%00", "read-5%0A", "read-1.0", "read-" + "9" * 19,
           "read-" + "9" * 5000, f"read-{BIG}", "%00"]  # fmt: skip
TEXTS = ["", "+", "a%00", "a%0Ab", "%7F", "a" * 46]
LANGUAGES = ["", "de", "EN", "zh-CN", "en%00", "en,zh", "__class__"]
NIDS = ["a", "-1", "1,2", "1+-2", "%2B1", "1.0", "１", "%D9%A1", "%C2%B2", "1+%00", "0x1", str(BIG), "9" * 5000]

QUERIES = [
    *[Case("/messages", f"userId={id_}", "userId") for id_ in IDS],
    *[Case("/messages", f"userId=u1&pageNo={n}", "pageNo") for n in [*NUMBERS, "1000000001"]],
    *[Case("/messages", f"userId=u1&pageSize={n}", "pageSize") for n in [*NUMBERS, "101"]],
    *[Case("/messages", f"userId=u1&unread={flag}", "unread") for flag in FLAGS],
    *[Case("/messages", f"userId=u1&messageType={kind}", "messageType")
      for kind in [*TEXTS, "a+", "none", "Recharge", "%F0%9F%98%80"]],
    *[Case("/messages", f"userId=u1&before={cursor}", "before") for cursor in CURSORS],
    *[Case("/messages", f"userId=u1&language={language}", "language") for language in LANGUAGES],
    *[Case("/teammessages", f"userId=u1&teamId={id_}", "teamId") for id_ in IDS],
    *[Case("/teammessages", f"userId=u1&teamId=t&self={flag}", "self") for flag in FLAGS],
    Case("/messages", "", "userId"),
    Case("/messages", "pageNo=1", "userId"),
    Case("/teammessages", "userId=u1", "teamId"),
    Case("/teammessages", "teamId=t", "userId"),
    Case("/messages", "userId=u1&teamId=t", "teamId"),
    Case("/messages", "userId=u1&self=true", "self"),
    Case("/messages", "userId=u1&userID=u1", "userID"),
    Case("/messages", "userId=u1&=1", ""),
    Case("/messages", "userId=u1&%00=1", "\x00"),
    Case("/messages", "userId=u1&" + "x" * 60 + "=1", "x" * 45),
    Case("/messages", "userId=u1&pageNo=1&pageNo=1", "pageNo"),
    Case("/messages", "userId=u1&page%4eo=1&pageNo=2", "pageNo"),
    Case("/messages", "userId=u1&userId=u1", "userId"),
    Case("/messages", "userId=u1&pageNo=1&before=unread-5", "before"),
    Case("/teammessages", "userId=u1&teamId=t&pageNo=2&before=read-0", "before"),
    Case("/messages", "userId=%FF", None),
    Case("/messages", "userId=u1&messageType=%E4%B8", None),
    Case("/messages", "userId=%ED%A0%80", None),
    Case("/messages", "userId=u1&%FF=1", None),
    Case("/messages", "userId=nobody", "userId", (404, "user_not_found")),
    Case("/messages", "userId=U1", "userId", (404, "user_not_found")),
    Case("/messages", "userId=nobody&pageNo=9&unread=true", "userId", (404, "user_not_found")),
    Case("/messages", "userId=nobody&before=read-5&messageType=note", "userId", (404, "user_not_found")),
    Case("/teammessages", "userId=nobody&teamId=t", "userId", (404, "user_not_found")),
    Case("/teammessages", "userId=u2&teamId=t", "userId", (403, "not_a_member")),
    Case("/teammessages", "userId=u2&teamId=t&self=true&messageType=note", "userId", (403, "not_a_member")),
    Case("/teammessages", "userId=u1&teamId=none", "teamId", (404, "team_not_found")),
    Case("/teammessages", "userId=u1&teamId=T&self=true", "teamId", (404, "team_not_found")),
]  # fmt: skip

STREAMS = [
    *[Case("/messages/stream", f"userId={id_}", "userId") for id_ in IDS],
    *[Case("/messages/stream", f"userId=u1&language={language}", "language") for language in LANGUAGES],
    Case("/messages/stream", "", "userId"),
    Case("/messages/stream", "userId=u1&pageNo=1", "pageNo"),
    Case("/messages/stream", "userId=u1&userId=u1", "userId"),
    Case("/messages/stream", "userId=%FF", None),
    Case("/messages/stream", "userId=nobody", "userId", (404, "user_not_found")),
]

READ = "/messages/read"
DEEP_PARSER = sys.version_info >= (3, 13)
READS = [
    *[Case(READ, f"userId=u1&nids={nids}", "nids") for nids in NIDS],
    # 0 is valid: it is before all messages.
    *[Case(READ, f"userId=u1&upTo={n}", "upTo") for n in NUMBERS if n != "0"],
    *[Case(READ, f"userId={id_}&upTo=5", "userId") for id_ in IDS],
    *[Case(READ, f"userId=u1&upTo=5&teamId={id_}", "teamId") for id_ in IDS],
    Case(READ, "userId=u1", "nids"),
    Case(READ, "userId=u1&nids=1&upTo=1", "nids"),
    Case(READ, "userId=u1&nids=&upTo=0", "nids"),
    Case(READ, "nids=1", "userId"),
    Case(READ, "userId=u1&nids=1&nids=2", "nids"),
    Case(READ, "userId=u1&nids[]=1", "nids[]"),
    Case(READ, "userId=u1&upTo=unread-5", "upTo"),
    Case(READ, "userId=u1&nids=" + "1+" * 9000, None, (413, "payload_too_large")),
    Case(READ, "userId=nobody&nids=1", "userId", (404, "user_not_found")),
    Case(READ, "userId=nobody&upTo=1", "userId", (404, "user_not_found")),
    Case(READ, "userId=u2&upTo=1&teamId=t", "userId", (403, "not_a_member")),
    Case(READ, "userId=u1&upTo=1&teamId=none", "teamId", (404, "team_not_found")),
    *[Case(READ, {"userId": "u1", "nids": nids}, "nids") for nids in NO_NIDS],
    *[Case(READ, {"userId": "u1", "upTo": n}, "upTo") for n in [*NO_NUMBER, BIG]],
    Case(READ, '{"userId": "u1", "upTo": 1e2}', "upTo"),
    Case(READ, '{"userId": "u1", "nids": [NaN]}', "nids"),
    Case(READ, '{"userId": "u1", "nids": [' + "9" * 5000 + "]}", "nids"),
    # Python's own parser gives up before that, until 3.13.
    Case(READ, '{"userId": "u1", "nids": ' + "[" * 7000 + "]" * 7000 + "}", "nids" if DEEP_PARSER else None),
    Case(READ, '{"userId": "u1", "nids": ' + "[" * 300 + "]" * 300 + "}", "nids"),
    Case(READ, '{"userId": "u1", "nids": [1], "nids": [1]}', "nids"),
    Case(READ, {"userId": "u1", "nids": [1], "teamId": None}, "teamId"),
    Case(READ, {"userId": "u1", "nids": list(range(9000))}, None, (413, "payload_too_large")),
    Case(READ, [1, 2], None),
]  # fmt: skip

PAGES = [
    *[Case("/messages", {"userId": "u1", field: value}, field)
      for field in ("pageNo", "pageSize") for value in [0, *NO_NUMBER]],
    *[Case("/teammessages", {"userId": "u1", "teamId": "t", field: value}, field)
      for field in ("unread", "self") for value in NO_FLAG],
    *[Case("/teammessages", {"userId": "u1", "teamId": "t"} | {field: value}, field)
      for field in ("userId", "teamId", "messageType", "before", "language") for value in NO_TEXT],
    Case("/messages", {"userId": "u1", "pageNo": 1, "before": "read-5"}, "before"),
    Case("/messages", {"userId": "u1", "\ud800": 1}, "?"),
]  # fmt: skip

NOTE = {"teamId": "t", "title": "T", "text": "x"}
TEAMS = [
    *[Case("/team", f"teamId={id_}&teamName=T", "teamId") for id_ in IDS],
    *[Case("/team", f"teamId=t&teamName={name}", "teamName") for name in [*TEXTS[:-1], "a" * 46]],
    *[Case("/team", {"teamId": "t", field: ids}, field)
      for field in ("add", "remove") for ids in NO_IDS],
    *[Case("/team", f"teamId=t&{field}={ids}", field) for field in ("add", "remove")
      for ids in ["a%00", "u1+" + "a" * 46, "%7F"]],
    Case("/team", "teamName=T", "teamId"),
    Case("/team", "teamId=new", "teamName"),
    Case("/team", "teamId=t&members=u1", "members"),
    Case("/team", "teamId=t&add=u1&add=u2", "add"),
    Case("/team", "teamId=t&add=u1+nobody", "add", (404, "user_not_found")),
    Case("/team", {"teamId": "t", "add": [f"x{n}" for n in range(1500)]}, "add", (404, "user_not_found")),
    Case("/team", {"teamId": "t", "add": [f"x{n}" for n in range(4000)]}, None, (413, "payload_too_large")),
    Case("/team", "teamId=t&add=%FF", None),
    Case("/team", b'{"teamId": "t", "add": ["\xff"]}', None),
    *[Case("/teammessage", NOTE | {field: value}, field)
      for field in ("teamId", "title", "userId", "receiverId", "messageId")
      for value in [*NO_TEXT, " ", "a\n", "\x85", "\u2028", "a" * 101]],
    *[Case("/teammessage", NOTE | {"text": value}, "text")
      for value in [*NO_TEXT, " \n\t", "a\x00", "a\x0b", "a\x7f", "a\u2028", "a" * 2001]],
    *[Case("/teammessage", {name: value for name, value in NOTE.items() if name != left_out}, left_out)
      for left_out in NOTE],
    Case("/teammessage", NOTE | {"body": "x"}, "body"),
    Case("/teammessage", "teamId=t&title=T&title=T&text=x", "title"),
    Case("/teammessage", NOTE | {"teamId": "none"}, "teamId", (404, "team_not_found")),
    Case("/teammessage", NOTE | {"userId": "nobody"}, "userId", (403, "not_a_member")),
    Case("/teammessage", NOTE | {"receiverId": "u2"}, "receiverId", (403, "not_a_member")),
]  # fmt: skip


GOOD = [
    ("/messages", "userId=u1&pageNo=1000000000&pageSize=100"),
    ("/messages", "userId=u1&pageNo=0001&pageSize=0000000000000000001"),
    ("/messages", f"userId=u1&before=unread-{BIG - 1}&pageSize=1"),
    ("/messages", "userId=u1&before=read-0"),
    *[("/messages", f"userId=u1&messageType={kind}") for kind in MESSAGE_TYPES],
    ("/messages", "&&userId=u1&"),
    ("/teammessages", "userId=u1&teamId=t&self=true&unread=false&language=en&messageType=note"),
    (READ, f"userId=u1&upTo={BIG - 1}"),
    (READ, "userId=u1&upTo=0&teamId=t"),
    (READ, f"userId=u1&nids=+0+1%0A2+{BIG - 1}+0001"),
    (READ, "userId=u1&nids="),
    (READ, "userId=u1&nids=" + "1+" * 8000),
    ("/team", "teamId=t&teamName=" + "%F0%9F%98%80" * 45),
    ("/team", "teamId=" + "%E5%BC%A0" * 45 + "&teamName=T"),
    ("/team", "teamId=t&remove=" + "+".join(f"x{n}" for n in range(2000))),
    ("/teammessage", f"teamId=t&title={'t' * 100}&text={'x' * 2000}&messageId={'m' * 45}"),
    ("/teammessage", "teamId=t&title=%25s+%3A1+%27&text=%5C%27%3B%25s%0A%09%0D%F0%9F%98%80&userId=u1"),
]  # fmt: skip


def test_each_message_type_except_notes_has_a_template() -> None:
    for language in LANGUAGES_SHOWN:
        templates = resource(f"templates/messages/{language}.txt").read_text("utf-8")
        assert re.findall(r"macro ([a-z]\w*)", templates) == [kind for kind in MESSAGE_TYPES if kind != "note"]


@pytest.fixture
async def team_of_one(client: Client, database: Database) -> Client:
    """A service with u1, a member of t, and u2, who is no member. Both have messages."""
    await add_users(database, "u1", "u2")
    await add_team(database, "t", "u1")
    await write(
        database, *[new_message("u1", n, team_id=team_id) for n in range(3) for team_id in ("", "t")],
        new_message("u2", 1),
    )  # fmt: skip
    return client


async def _tables(database: Database) -> list[Any]:
    return [await rows_of(database, table) for table in (team, team_member, message, counter)]


@pytest.mark.parametrize(
    ("method", "cases"),
    [("GET", QUERIES), ("POST", QUERIES), ("GET", STREAMS), ("POST", READS), ("POST", PAGES), ("POST", TEAMS)],
    ids=["queries", "forms", "streams", "marks", "JSON pages", "teams"],
)
async def test_each_bad_request_is_refused_with_its_field_and_changes_nothing(
    team_of_one: Client, database: Database, method: str, cases: list[Case]
) -> None:
    before = await _tables(database)
    wrong = []
    for case in cases:
        refusal, problem = await _sent(team_of_one, method, case)
        if (refusal, problem.get("field"), problem["result"]) != (case.refusal, case.field, 0):
            wrong.append((case, refusal, problem))
    assert wrong == []
    assert await _tables(database) == before


async def _sent(client: Client, method: str, case: Case) -> tuple[tuple[int, Any], dict[str, Any]]:
    url, headers, data = case.path, {}, None
    if method == "GET":
        # Addresses are ASCII. A test below sends raw bytes.
        url = f"{case.path}?{quote(str(case.sent), safe=punctuation)}"
    else:
        json_text = case.sent if isinstance(case.sent, str) else ""
        data = _encoded(case.sent)
        is_json = not isinstance(case.sent, str) or json_text.startswith("{")
        headers["Content-Type"] = JSON if is_json else FORM
    async with client.request(method, URL(url, encoded=True), data=data, headers=headers) as response:
        if response.content_type != "application/problem+json":
            return (response.status, response.content_type), {"result": None}
        problem: dict[str, Any] = json.loads(await response.text())
        assert response.status == problem["status"]
        assert problem["request_id"] == response.headers["X-Request-ID"]
        return (response.status, problem["code"]), problem


def _encoded(sent: str | bytes | dict[str, Any] | list[Any]) -> bytes:
    if isinstance(sent, bytes):
        return sent
    return (sent if isinstance(sent, str) else json.dumps(sent)).encode()


@pytest.mark.parametrize(
    "query",
    [b"userId=\xff", b"userId=u1&\xff=1", b"userId=u1&messageType=%41\xff", b"userId=\xed\xa0\x80%41",
     b"userId=u1&pageNo=\xef\xbc\x91", b"userId=" + b"u" * 9000],
    ids=range(6),
)  # fmt: skip
async def test_a_query_of_raw_bytes_or_of_any_length_is_refused(team_of_one: Client, query: bytes) -> None:
    reader, writer = await asyncio.open_connection(team_of_one.host, team_of_one.port)
    writer.write(b"GET /messages?" + query + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    reply = await reader.read()
    writer.close()
    # aiohttp's parser answers this one.
    assert reply.split()[1] == b"400", reply


async def test_values_at_the_limits_are_accepted(team_of_one: Client) -> None:
    for path, fields in GOOD:
        async with team_of_one.post(path, data=fields.encode(), headers={"Content-Type": FORM}) as response:
            assert response.status == 200, (path, fields, await response.text())


async def test_the_longest_note_reaches_its_readers_unchanged(team_of_one: Client) -> None:
    title, text = "\\'\"%s😀" * 14, "\\'\"%s;\n\t\r😀\u200b" * 181
    async with team_of_one.post("/teammessage", json=NOTE | {"title": title, "text": text}) as response:
        assert response.status == 200
    async with team_of_one.get("/teammessages", params={"userId": "u1", "teamId": "t"}) as response:
        row = (await response.json())["result"][0]
    assert (row["TITLE"], row["BODY"]["text"]) == (title, text)
