"""Bad input gets a 4xx with a code, never a 500, and changes no table (promises 5 and 8)."""

import asyncio
import json
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from sqlalchemy import select
from yarl import URL

from myaccount.controller import body
from myaccount.database.database import Database
from myaccount.model.inbox import message, team
from myaccount.model.ledger import account, account_change, bulk, entry, hold, order, user
from myaccount.model.outbox import event

from ..conftest import Client, eventually
from ..helpers.inboxes import until_dispatched

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class Case(NamedTuple):
    """A request that must be refused. The default path is that of a recharge."""

    name: str
    body: bytes | str
    code: str
    field: str | None = None
    content_type: str | None = FORM
    path: str = "/recharge"
    headers: dict[str, str] = {}  # noqa: RUF012 - NamedTuple's defaults are never changed


def _amount(text: str) -> str:
    return f"orderId=r1&userId=u1&amount={text}"


BAD_AMOUNTS = [
    "", "0", "0.00", "-0", "-1", "+1", "1e3", "1E3", "1_000", "1,000", "0.001", "100.", ".5", "%201", "1%20",
    "1%0A", "NaN", "Infinity", "-Infinity", "abc", "0x10", "1000000000000", "999999999999.991", "9" * 46,
    "9" * 5000, "%EF%BC%91%EF%BC%92", "%D9%A1", "1%00", "1/2", "%E2%82%AC1",
]  # fmt: skip

# Invisible characters: format, private use, noncharacters (unassigned in any version of Unicode), and blank
# letters, marks and symbols.
UNSEEN = {
    "a zero width space": "\u200b", "a zero width joiner": "\u200d", "a zero width non-joiner": "\u200c",
    "a left-to-right mark": "\u200e", "a right-to-left override": "\u202e", "an isolate": "\u2066",
    "a soft hyphen": "\u00ad", "a word joiner": "\u2060", "a byte order mark": "\ufeff", "a tag": "\U000e0041",
    "a variation selector": "\ufe0f", "a grapheme joiner": "\u034f", "a Hangul filler": "\u3164",
    "a half-width filler": "\uffa0", "a Braille blank": "\u2800", "private use": "\ue000",
    "private use, plane 15": "\U000f0000", "a noncharacter": "\ufdd0", "another": "\uffff",
}  # fmt: skip
LOOKS_EMPTY = [
    "\u3164",
    "\u2800",
    "\u200d",
    " \u200b ",
    "\u0301",
    "\u115f\u1160",
    "\ufe0f",
    "\u00ad",
    "\u3000\uffa0",
]
HIDES = ["a\u200b", "a\u202eb", "a\u00adb", "a\u2066b", "\ufeffa", "\u200da", "a\u200c", "a\u200f", "a\U000e0041b"]

BAD_IDS = ["", "a" * 46, "a%20b", "%20", "a%09", "a%0Ab", "a%00b", "%C2%A0", "%E3%80%80", "a%7F", "a%C2%85",
           "%E5%BC%A0" * 46, *[quote(f"a{character}b") for character in UNSEEN.values()]]  # fmt: skip

CASES = [
    *[Case(f"amount {text[:20]!r}", _amount(text), "invalid_request", "amount") for text in BAD_AMOUNTS],
    *[Case(f"order id {id_!r}", f"orderId={id_}&userId=u1&amount=1", "invalid_request", "orderId")
      for id_ in BAD_IDS],
    *[Case(f"user id {id_!r}", f"orderId=r1&userId={id_}&amount=1", "invalid_request", "userId")
      for id_ in BAD_IDS],
    # Forms
    Case("no fields", "", "invalid_request", "orderId"),
    Case("missing field", "orderId=r1&userId=u1", "invalid_request", "amount"),
    Case("repeated field", _amount("1") + "&amount=2", "invalid_request", "amount"),
    Case("repeated field, same value", _amount("1") + "&userId=u1", "invalid_request", "userId"),
    Case("unknown field of many", "&".join(f"{'orderid' * 6}{n}=1" for n in range(300)), "invalid_request",
         "orderid" * 6 + "0"),
    Case("unknown field", _amount("1") + "&balance=5", "invalid_request", "balance"),
    Case("nameless field", _amount("1") + "&=5", "invalid_request", ""),
    Case("a thousand fields", "&".join(f"f{n}=1" for n in range(1000)), "invalid_request", "f0"),
    Case("invalid UTF-8, escaped", "orderId=r1&userId=%FF&amount=1", "invalid_request"),
    Case("cut UTF-8, escaped", "orderId=r1&userId=%E4%B8&amount=1", "invalid_request"),
    Case("surrogate, escaped", "orderId=r1&userId=%ED%A0%80&amount=1", "invalid_request"),
    Case("invalid UTF-8, raw", b"orderId=r1&userId=\xff&amount=1", "invalid_request"),
    Case("one byte over 16 KiB", '{"orderId": "r1", "userId": "u1", "amount": 1}'.ljust(16 * 1024 + 1),
         "payload_too_large", content_type=JSON),
    Case("17 KiB", _amount("1") + "&x=" + "y" * 17 * 1024, "payload_too_large"),
    # Media types
    Case("no content type", _amount("1"), "unsupported_media_type", content_type=None),
    Case("plain text", _amount("1"), "unsupported_media_type", content_type="text/plain"),
    Case("XML", "<a/>", "unsupported_media_type", content_type="application/xml"),
    Case("bad content type", _amount("1"), "unsupported_media_type", content_type=";;="),
    Case("multipart", '--b\r\nContent-Disposition: form-data; name="orderId"\r\n\r\nr1\r\n--b--\r\n',
         "unsupported_media_type", content_type="multipart/form-data; boundary=b"),
    Case("unknown charset", _amount("1"), "unsupported_media_type", content_type=FORM + "; charset=klingon"),
    Case("other charset", _amount("1"), "unsupported_media_type", content_type=FORM + "; charset=gbk"),
    Case("gzip", b"\x1f\x8b\x08\x00", "unsupported_media_type", headers={"Content-Encoding": "gzip"}),
    Case("gzip, beside identity", b"\x1f\x8b\x08\x00", "unsupported_media_type",
         headers={"content-encoding": "identity", "Content-Encoding": "gzip"}),
    # JSON
    Case("JSON array", "[]", "invalid_request", content_type=JSON),
    Case("JSON text", '"orderId"', "invalid_request", content_type=JSON),
    Case("JSON null", "null", "invalid_request", content_type=JSON),
    Case("no JSON", "orderId=r1", "invalid_request", content_type=JSON),
    Case("cut JSON", '{"orderId": "r1", "userId": "u1", "amount": ', "invalid_request", content_type=JSON),
    Case("two JSON values", '{"orderId": "r1"} {}', "invalid_request", content_type=JSON),
    Case("JSON with two byte order marks", '\ufeff\ufeff{"orderId": "r1"}', "invalid_request", content_type=JSON),
    Case("JSON in UTF-16", '{"orderId": "r1"}'.encode("utf-16"), "invalid_request", content_type=JSON),
    Case("deep JSON", '{"orderId":' + "[" * 8000 + "]" * 8000, "invalid_request", content_type=JSON),
    Case("surrogate as a member's name", '{"\\ud800": "x"}', "invalid_request", "?", JSON),
    Case("surrogate as two members' name", '{"\\ud800": "x", "\\ud800": "x"}', "invalid_request", "?", JSON),
    Case("long name of a member", '{"' + "x" * 9000 + '": 1}', "invalid_request", "x" * 45, JSON),
    Case("repeated member", '{"orderId": "r1", "orderId": "r2", "userId": "u1", "amount": 1}',
         "invalid_request", "orderId", JSON),
    *[
        Case(f"JSON amount {value[:20]}", f'{{"orderId": "r1", "userId": "u1", "amount": {value}}}',
             "invalid_request", "amount", JSON)
        for value in ["0", "-0", "-0.0", "1e3", "1E+2", "0.001", "NaN", "Infinity", "-Infinity", "true", "null",
                      "[]", "{}", '"1e3"', '"\\u0000"', "1000000000000", "9" * 5000]
    ],
    *[
        Case(f"JSON id {value[:20]}", f'{{"orderId": "r1", "userId": {value}, "amount": 1}}',
             "invalid_request", "userId", JSON)
        for value in ["1", "1.0", "true", "null", "[]", "{}", '""', '"a b"', '"\\u0000"', '"\\ud800"', "NaN"]
    ],
    # Fields in the address
    Case("a field in the address", _amount("1"), "invalid_request", "amount", path="/recharge?amount=99"),
    Case("a field without a value in the address", _amount("1"), "invalid_request", "x", path="/recharge?x"),
    Case("a page's field in the address", "userId=u1", "invalid_request", "pageNo", path="/messages?pageNo=2"),
    # Other routes
    Case("same payer and payee", "orderId=t1&fromuserId=u1&touserId=u1&amount=1", "same_account",
         path="/transfer"),
    Case("payer missing", "orderId=t1&fromuserId=nobody&touserId=u1&amount=1", "user_not_found", "fromuserId",
         path="/transfer"),
    Case("no such user", _amount("1").replace("u1", "U1"), "user_not_found", "userId"),
    Case("no such order", "orderId=R0", "order_not_found", "orderId", path="/querorder"),
    Case("no user id", "", "invalid_request", "userId", path="/queryacc"),
    *[
        Case(f"opening with {field} {value[:20]!r}",
             "&".join(f"{name}={value if name == field else '1'}" for name in
                      ["userId", "userName", "sex", "cardNum", "accountId", "accountType"]),
             "invalid_request", field, path="/openacc")
        for field, value in [("userName", ""), ("userName", "%20"), ("userName", "n" * 46), ("userName", "a%00"),
                             ("userName", "a%0Ab"),
                             *[("userName", quote(name)) for name in [*LOOKS_EMPTY, *HIDES]],
                             ("sex", "abc"), ("sex", ""), ("cardNum", "9" * 46),
                             ("accountId", "a b"), ("accountId", ""), ("accountType", "t" * 46),
                             ("accountType", "")]
    ],
]  # fmt: skip

PAIRS = [("userId", "accountId"), ("fromuserId", "fromaccountId"), ("touserId", "toaccountId")]
# Where an account id names no party.
ACCOUNTS = ("/openacc", "/addaccount", "/freeze", "/close", "/limit", "/accountlog")
OPTIONAL = {"currency", "note", "reference", "teamId", "final", "pageSize", "before"}
OPTIONAL_OF = {
    ("/refund", "amount"), ("/capture", "amount"), ("/hold", "expiresIn"), ("/hold", "touserId"),
    ("/hold", "toaccountId"),
}  # fmt: skip
# A valid request of each operation on money and accounts, with every optional field. The id of each order is new.
_REMARKS = {"note": "n", "reference": "f"}
_PARTY = {"orderId": "o1", "userId": "u1", "amount": "1", "currency": "CNY", **_REMARKS}
_PARTIES = {"orderId": "o1", "fromuserId": "u1", "touserId": "u2", "amount": "1", "currency": "CNY", **_REMARKS}
_HELD = {"orderId": "o1", "holdOrderId": "h1", **_REMARKS}
VALID: list[tuple[str, dict[str, str]]] = [
    (
        "/openacc",
        {
            "userId": "u2",
            "userName": "N",
            "sex": "F",
            "cardNum": "62",
            "accountId": "a2",
            "accountType": "01",
            "currency": "JPY",
        },
    ),
    ("/addaccount", {"userId": "u1", "accountId": "a2", "accountType": "01", "currency": "JPY", "teamId": "t"}),
    ("/freeze", {"accountId": "a1", "frozen": "all", "reason": "why"}),
    ("/close", {"accountId": "a1", "reason": "why"}),
    ("/limit", {"accountId": "a1", "floor": "-1.00", "reason": "why"}),
    ("/accountlog", {"accountId": "a1", "pageSize": "1", "before": "1"}),
    ("/recharge", _PARTY),
    ("/recharge", {name: value for name, value in _PARTY.items() if name != "userId"} | {"accountId": "a1"}),
    ("/transfer", _PARTIES),
    ("/transfer", {"orderId": "o1", "fromaccountId": "a1", "toaccountId": "a2", "amount": "1"}),
    ("/withdraw", _PARTY),
    ("/withdraw", {"orderId": "o1", "accountId": "a1", "amount": "1"}),
    ("/refund", {"orderId": "o1", "originalOrderId": "r1", "amount": "1", **_REMARKS}),
    ("/hold", {**_PARTIES, "expiresIn": "60"}),
    ("/hold", {"orderId": "o1", "fromaccountId": "a1", "toaccountId": "a2", "amount": "1"}),
    ("/capture", {**_HELD, "amount": "1", "final": "true"}),
    ("/release", _HELD),
    ("/extend", {**_HELD, "expiresIn": "60"}),
]
_BAD_ID = ["", "a" * 46, "a b", "a\u200bb", "a\n"]
_BAD_TEXT = ["", " ", "\u3164", "a\u202eb", "a\nb", "a\x00"]
# Values that a field refuses, in a form and as text in JSON.
BAD_VALUES = {
    "currency": ["", "cny", "CN", "CNYY", "XAU", "XXX", "CNY ", "\uff23NY", "USDT"],
    "amount": ["", "0", "-1", "1e3", "1.00000", "9" * 16, "NaN", "\uff11"],
    "frozen": ["", "ALL", "debit", "all ", "credits,debits"],
    "floor": [
        "",
        "1",
        "+1",
        "-0",
        "-0.00",
        "--1",
        "- 1",
        "-1e3",
        "-.5",
        "0.00000",
        "-" + "9" * 16,
        "\u22121",
        "NaN",
    ],
    "expiresIn": ["", "0", "-1", "31536001", "1.5", "1e3", "9" * 30, "\uff11", " 1"],
    "final": ["", "True", "1", "yes", "null"],
    "pageSize": ["", "0", "101", "1.0", "x"],
    "before": ["", "-1", "x", "9" * 20, "1.0", "unread-1"],
    "note": [*_BAD_TEXT, "n" * 201],
    "reference": [*_BAD_TEXT, "n" * 65],
    "reason": [*_BAD_TEXT, "n" * 201],
    "accountType": [*_BAD_TEXT, "n" * 46],
    "userName": [*_BAD_TEXT, "n" * 46],
    "sex": [*_BAD_TEXT, "abc"],
    "cardNum": [*_BAD_TEXT, "9" * 46],
}
# Values of JSON that a field refuses, but for those of its own type.
BAD_JSON: list[object] = [None, True, 1, 1.5, -1, [], {}, ["u1"]]
FITTING_JSON: dict[str, list[object]] = {
    # True == 1, but the service tells them apart.
    "amount": [1, 1.5], "floor": [-1], "expiresIn": [1], "pageSize": [1], "final": [True],
}  # fmt: skip

STATUS = {
    "invalid_request": 400,
    "same_account": 400,
    "user_not_found": 404,
    "order_not_found": 404,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
}


async def _tables(database: Database) -> list[Any]:
    async def work(connection: Any) -> list[Any]:
        return [
            list((await connection.execute(select(table))).all())
            for table in (user, account, order, entry, hold, bulk, account_change, team, message, event)
        ]

    return await database.read(work)


@pytest.fixture
async def alice(client: Client, database: Database) -> Client:
    """A service with one user, whose opening is dispatched."""
    fields = {
        "userId": "u1",
        "userName": "Alice",
        "sex": "F",
        "cardNum": "62",
        "accountId": "a1",
        "accountType": "01",
    }
    async with client.post("/openacc", data=fields) as response:
        assert response.status == 200
    await until_dispatched(database)
    return client


async def test_json_that_is_sent_as_a_form_is_told_its_content_type(alice: Client) -> None:
    text = '{"orderId": "r1", "userId": "u1", "amount": "1&2=3"}'
    async with alice.post("/recharge", data=text, headers={"Content-Type": FORM}) as response:
        problem = json.loads(await response.text())
    assert problem["detail"] == "This looks like JSON: send it with Content-Type: application/json."
    assert "field" not in problem


async def test_each_bad_request_is_refused_with_its_code_and_changes_nothing(
    alice: Client, database: Database
) -> None:
    before = await _tables(database)
    for case in CASES:
        headers = dict(case.headers)
        if case.content_type is not None:
            headers["Content-Type"] = case.content_type
        data = case.body if isinstance(case.body, bytes) else case.body.encode()
        async with alice.post(
            case.path, data=data, headers=headers, skip_auto_headers={"Content-Type"}
        ) as response:
            problem = json.loads(await response.text())
        assert problem["code"] == case.code, (case.name, problem)
        assert response.status == problem["status"] == STATUS[case.code], case.name
        assert response.content_type == "application/problem+json", case.name
        assert problem.get("field") == case.field, (case.name, problem)
        assert problem["result"] == 0, case.name
        assert problem["request_id"] == response.headers["X-Request-ID"], case.name
        assert await _tables(database) == before, case.name


async def test_each_field_of_each_operation_refuses_bad_values_and_changes_nothing(
    alice: Client, database: Database
) -> None:
    before = await _tables(database)
    for path, valid in VALID:
        for field in valid:
            for value in BAD_VALUES.get(field, _BAD_ID):
                await _refused(alice, path, field, data=valid | {field: value})
                await _refused(alice, path, field, json=valid | {field: value})
            for wrong in BAD_JSON:
                if not any(wrong == fits and type(wrong) is type(fits) for fits in FITTING_JSON.get(field, ())):
                    await _refused(alice, path, field, json={**valid, field: wrong})
        await _refused(alice, path, "balance", data=valid | {"balance": "1"})
    assert await _tables(database) == before


async def _refused(client: Client, path: str, field: str, **body: Any) -> None:
    async with client.post(path, **body) as response:
        problem = await response.json(content_type=None)
    refused = (response.status, problem["code"], problem.get("field"))
    assert refused == (400, "invalid_request", field), (path, body)


async def test_each_required_field_is_missed_by_name(alice: Client) -> None:
    for path, valid in VALID:
        firsts = {} if path in ACCOUNTS else {second: first for first, second in PAIRS}
        for name in valid:
            if name not in OPTIONAL and (path, name) not in OPTIONAL_OF:
                sent = {field: value for field, value in valid.items() if field != name}
                # Of a pair, the first is named.
                await _refused(alice, path, firsts.get(name, name), data=sent)


async def test_of_a_pair_only_one_is_sent(alice: Client) -> None:
    for path, valid in VALID:
        for user_id, account_id in PAIRS:
            if user_id in valid and path not in ACCOUNTS:
                await _refused(alice, path, account_id, data=valid | {account_id: "a1"})


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        (_amount("999999999999.99"), FORM),
        (_amount("0.01"), FORM),
        (_amount("000000000001"), FORM),
        (f"orderId={'r' * 45}&userId=u1&amount=1.5", FORM),
        ('{"orderId": "r1", "userId": "u1", "amount": 1}'.ljust(16 * 1024), JSON),
        (_amount("1"), "Application/X-WWW-Form-URLEncoded; charset=UTF-8"),
        ('{"orderId": "\\u5f20\\ud83d\\ude00", "userId": "u1", "amount": 0.10}', JSON),
        ('{"orderId": "r1", "userId": "u1", "amount": "0.10"}', "application/json; charset=utf-8"),
        ('\ufeff{"orderId": "r1", "userId": "u1", "amount": "0.10"}', JSON),
        (_amount("1"), f'{FORM} ; x=y; CHARSET = "UTF-8" ;'),
        (f"orderId={'%F0%9F%98%80' * 45}&userId=u1&amount=1.5", FORM),
        # A letter with a combining mark, and a numero sign.
        ("orderId=e%CC%81-%E2%84%96&userId=u1&amount=1", FORM),
    ],
)
async def test_values_at_the_limits_are_accepted(alice: Client, text: str, content_type: str) -> None:
    async with alice.post("/recharge", data=text.encode(), headers={"Content-Type": content_type}) as response:
        assert (response.status, await response.json()) == (200, {"result": 1})


@pytest.mark.parametrize(
    "name",
    [
        "می\u200cخواهم",
        "ക്\u200dഷ",
        "👨\u200d👩\u200d👧",
        "❤\ufe0f",
        "葛\U000e0100",
        "a\u200fא",
        "\ue000",
        "𱍐",
        "é",
        "e\u0301",
        "( )",
        # The longest name.
        "名" * 45,
    ],
)
async def test_a_name_may_have_the_characters_that_languages_need(client: Client, name: str) -> None:
    fields = {"userId": "u1", "userName": name, "sex": "F", "cardNum": "1", "accountId": "a1", "accountType": "01"}
    async with client.post("/openacc", data=fields) as response:
        assert response.status == 200, await response.text()
    async with client.post("/queryacc", data={"userId": "u1"}) as response:
        assert (await response.json())["result"][0]["USER_NAME"] == name


@pytest.mark.parametrize(
    ("path", "field", "nearest"),
    [
        ("/transfer", "fromUserId", "fromuserId"),
        ("/transfer", "from_user_id", "fromuserId"),
        ("/recharge", "orderid", "orderId"),
        ("/recharge", "amuont", "amount"),
        ("/openacc", "cardNumber", "cardNum"),
        ("/messages", "pagesize", "pageSize"),
        ("/recharge", "x" * 9000, None),
        ("/recharge", "", None),
    ],
)
async def test_the_error_for_an_unknown_field_suggests_the_nearest_one(
    client: Client, path: str, field: str, nearest: str | None
) -> None:
    async with client.post(path, data={field: "1"}) as response:
        detail = (await response.json(content_type=None))["detail"]
    assert (f"did you mean {nearest}?" if nearest else "The fields are") in detail
    assert ("did you mean" in detail) == (nearest is not None)
    assert "The fields are " in detail


async def _send(client: Client, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /recharge HTTP/1.1\r\nHost: [::1]\r\nContent-Type: " + FORM.encode() + b"\r\n" + request)
    return reader, writer


@pytest.mark.parametrize(
    "request_end",
    [b"Content-Length: 500\r\n\r\norderId=r1", b"Transfer-Encoding: chunked\r\n\r\n5\r\norder"],
)
async def test_an_incomplete_body_is_refused_after_the_timeout(
    alice: Client, database: Database, monkeypatch: pytest.MonkeyPatch, request_end: bytes
) -> None:
    monkeypatch.setattr(body, "BODY_TIMEOUT_SECONDS", 0.05)
    before = await _tables(database)
    reader, writer = await _send(alice, request_end)
    reply = (await reader.readuntil(b"}")).decode()
    writer.close()
    assert reply.startswith("HTTP/1.1 408 ")
    assert '"code": "request_timeout"' in reply
    assert await _tables(database) == before


async def test_a_body_with_invalid_framing_is_refused_and_not_logged(
    alice: Client, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = await _tables(database)
    reader, writer = await _send(alice, b"Transfer-Encoding: chunked\r\n\r\ncardNum=6222777777\r\n")
    assert (await reader.readline()).split()[1] == b"400"
    writer.close()
    assert await _tables(database) == before
    assert "POST /recharge 400" in caplog.text
    assert "6222777777" not in caplog.text


async def test_a_client_that_disconnects_within_its_body_is_no_failure(
    alice: Client, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = await _tables(database)
    reader, writer = await _send(alice, b"Content-Length: 500\r\n\r\norderId=r1")
    writer.write_eof()
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()

    async def logged() -> bool:
        return "POST /recharge 400" in caplog.text

    await eventually(logged)
    assert await _tables(database) == before
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_length_above_the_limit_is_refused_before_the_body_comes(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Or the body that never comes would be refused for that.
    monkeypatch.setattr(body, "BODY_TIMEOUT_SECONDS", 3600)
    reader, writer = await _send(alice, f"Content-Length: {2**63 - 1}\r\n\r\no".encode())
    async with asyncio.timeout(60):
        reply = (await reader.readuntil(b"}")).decode()
    writer.close()
    assert reply.startswith("HTTP/1.1 413 ")
    assert '"detail": "The body is larger than 16 KiB."' in reply


async def test_a_chunked_body_above_the_limit_is_refused(alice: Client) -> None:
    reader, writer = await _send(alice, b"Transfer-Encoding: chunked\r\n\r\n4001\r\n" + b"x" * 0x4001 + b"\r\n")
    assert (await reader.readline()).split()[1] == b"413"
    writer.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/static", 404, "not_found"),
        ("GET", "/static/", 404, "not_found"),
        ("GET", "/static/nothing.js", 404, "not_found"),
        ("GET", "/static/" + "x" * 5000, 404, "not_found"),
        ("GET", "/static/../config/config.yaml", 404, "not_found"),
        ("GET", "/static/%2e%2e/base.html", 404, "not_found"),
        ("GET", "/%00%FF", 404, "not_found"),
        ("PUT", "/recharge", 405, "method_not_allowed"),
        ("OPTIONS", "/recharge", 405, "method_not_allowed"),
        ("POST", "/openacctest", 405, "method_not_allowed"),
    ],
)
async def test_a_wrong_address_or_method_is_refused(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    async with client.request(method, URL(path, encoded=True)) as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (status, code)


async def test_a_wrong_method_is_told_the_right_one(client: Client) -> None:
    async with client.get("/recharge") as response:
        assert (await response.json(content_type=None))["detail"] == "This address takes POST."
    async with client.put("/messages") as response:
        assert (await response.json(content_type=None))["detail"] == "This address takes GET, HEAD and POST."


async def test_expect_100_continue_is_honoured_and_other_expectations_are_ignored(alice: Client) -> None:
    for expected, n in (("100-continue", 1), ("a-miracle", 2)):
        fields = {"orderId": f"r{n}", "userId": "u1", "amount": "1"}
        async with alice.post("/recharge", data=fields, headers={"Expect": expected}) as response:
            assert response.status == 200
