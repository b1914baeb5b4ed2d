"""The cost of reading input grows linearly with its size (promise 8).

Work is counted, not timed: each line that Python runs counts 1, and each call into C counts the length of its
object, which it may have to scan.
"""

import asyncio
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, ModuleType
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from aiohttp import web
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from yarl import URL

from myaccount import middlewares
from myaccount.access.authorisation import _find_caller
from myaccount.access.guard import guard_check
from myaccount.access.proxies import Proxies
from myaccount.appkeys import authenticator_key, proxies_key, sessions_key
from myaccount.controller import (
    account_settings,
    accounts,
    body,
    bulk_orders,
    characters,
    field_kinds,
    holds,
    messages,
    operation,
    orders,
    stream,
    teams,
)
from myaccount.controller.body import read_query
from myaccount.controller.characters import check_id, check_name, check_text
from myaccount.errors import CrossSite, InvalidRequest, UnknownHost
from myaccount.ledger import money
from myaccount.protocol import shortened
from myaccount.routes import setup_routes
from myaccount.settings.schema import CONFIGURATION

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
# Within the limits: 16 KiB for a body, 8 KiB for a header or an address.
BODY_SIZES = (7_000, 14_000)
HEAD_SIZES = (3_500, 7_000)
# Calls whose time does not depend on the length of their object.
CONSTANT = {"append", "popleft", "get", "add", "pop", "setdefault", "__exit__", "acquire", "release", "fileno"}


class Work:
    """Counts the work inside its `with` block."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "Work":
        self._before = sys.gettrace(), sys.getprofile()
        sys.setprofile(self._profile)
        sys.settrace(self._trace)
        return self

    def __exit__(self, *error: object) -> None:
        trace, profile = self._before
        sys.settrace(trace)
        sys.setprofile(profile)

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        self.count += 1
        return self._trace

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and argument.__name__ not in CONSTANT:
            owner = getattr(argument, "__self__", None)
            self.count += len(owner) if isinstance(owner, str | bytes | list | tuple | dict | set) else 1


class Counted(str):
    """A name that counts how often it is compared or hashed."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        Counted.compared += 1
        return str.__hash__(self)


class _Connection:
    _reading_paused = False

    def pause_reading(self) -> None: ...

    def resume_reading(self, **options: bool) -> None: ...


async def _request(sent: str, content_type: str) -> web.Request:
    loop = asyncio.get_running_loop()
    payload = StreamReader(_Connection(), 2**16, loop=loop)  # type: ignore[arg-type]
    payload.feed_data(sent.encode())
    payload.feed_eof()
    headers = {"Content-Type": content_type}
    return make_mocked_request("POST", "/", headers=headers, payload=payload)


def _loopback() -> Mock:
    """A connection from this machine."""
    return Mock(get_extra_info=lambda name, default=None: ("127.0.0.1", 1) if name == "peername" else default)


def _filled(size: int, one: str, *, between: str = "", before: str = "", after: str = "") -> str:
    """Return a text of about `size` characters: `one` repeated, with a different number for each #."""
    room = size - len(before) - len(after)
    count = room // (len(one.replace("#", "12345")) + len(between))
    return before + between.join(one.replace("#", f"{10_000 + n}") for n in range(count)) + after


_RECHARGE = '{"type":"recharge","orderId":"#","userId":"u","amount":1.5}'


def _bulk(size: int, order: str) -> str:
    return _filled(size, order, between=",", before='{"bulkId":"b","orders":[', after="]}")


Filler = Callable[[int], str]
BODIES: dict[str, tuple[str, Filler]] = {
    "a form of one field again and again": (FORM, lambda size: _filled(size, "a", between="&")),
    "a form of many fields, one twice": (FORM, lambda size: _filled(size, "#", between="&", after="&a&a")),
    "a form of many fields": (FORM, lambda size: _filled(size, "#=1", between="&")),
    "a form of many escaped fields": (FORM, lambda size: _filled(size, "%41#", between="&", after="&b&b")),
    "a form of escapes": (FORM, lambda size: _filled(size, "%41", before="orderId=")),
    "a form of separators": (FORM, lambda size: "&" * size),
    "a form of equals signs": (FORM, lambda size: "=" * size),
    "a form of one long value": (FORM, lambda size: "orderId=" + "x" * size),
    "a form of many ids": (FORM, lambda size: _filled(size, "#", between=" ", before="teamId=t&add=")),
    "a form of one id many times": (FORM, lambda size: _filled(size, "u", between=" ", before="teamId=t&add=")),
    "a form of many NIDs": (FORM, lambda size: _filled(size, "#", between=" ", before="userId=u&nids=")),
    "a form of one long NID": (FORM, lambda size: "userId=u&nids=" + "9" * size),
    "JSON of one member again and again": (
        JSON, lambda size: _filled(size, '"a":1', between=",", before="{", after="}")),
    "JSON of many members, the last one twice": (
        JSON, lambda size: _filled(size, '"#":1', between=",", before="{", after=',"a":1,"a":1}')),
    "JSON of many members": (JSON, lambda size: _filled(size, '"#":1', between=",", before="{", after="}")),
    "JSON of one long number": (JSON, lambda size: '{"amount":' + "9" * size + "}"),
    "JSON of one long fraction": (JSON, lambda size: '{"amount":0.' + "9" * size + "}"),
    "JSON of escapes": (JSON, lambda size: _filled(size, "\\u0041", before='{"a":"', after='"}')),
    "JSON of nested lists": (
        JSON, lambda size: '{"nids":[' + ",".join(["[" * 400 + "]" * 400] * (size // 801)) + "]}"),
    "JSON of many lists": (JSON, lambda size: _filled(size, "[[]]", between=",", before='{"nids":[', after="]}")),
    "JSON of many NIDs": (
        JSON, lambda size: _filled(size, "#", between=",", before='{"userId":"u","nids":[', after="]}")),
    "JSON of many ids": (
        JSON, lambda size: _filled(size, '"#"', between=",", before='{"teamId":"t","add":[', after="]}")),
    "JSON of a bulk of one order id": (JSON, lambda size: _bulk(size, _RECHARGE.replace("#", "r"))),
    "JSON of a bulk of many orders": (JSON, lambda size: _bulk(size, _RECHARGE)),
    "JSON of a bulk of unknown types": (JSON, lambda size: _bulk(size, '{"type":"#"}')),
    "JSON of a long note": (JSON, lambda size: '{"orderId":"r","note":"' + "名" * (size // 3) + '"}'),
    "JSON of a long reason": (JSON, lambda size: '{"accountId":"a","reason":"' + "\u0301" * (size // 2) + '"}'),
    "JSON of a long limit": (JSON, lambda size: '{"accountId":"a","reason":"r","floor":-' + "9" * size + "}"),
    "JSON of a long duration": (
        JSON, lambda size: '{"orderId":"e","holdOrderId":"h","expiresIn":' + "9" * size + "}"),
    "JSON of white space": (JSON, lambda size: "{" + "\n" * size + "!"),
}  # fmt: skip
FORMS = (
    orders.TRANSFER,
    orders.RECHARGE,
    holds.EXTEND,
    bulk_orders.BULK,
    accounts.OPEN_ACCOUNT,
    account_settings.FREEZE,
    account_settings.LIMIT,
    messages.MARK_MESSAGES,
    teams.CHANGE_TEAM,
    teams.WRITE_NOTE,
)

CONTENT_TYPES: dict[str, Filler] = {
    "semicolons": lambda size: "a/b" + ";" * size,
    "parameters": lambda size: _filled(size, "a=b", between=";", before="a/b;"),
    "numbered parameters": lambda size: _filled(size, "a*#=b", between=";", before="a/b;"),
    "one character set again and again": lambda size: _filled(size, "charset=x", between=";", before="a/b;"),
    "parentheses": lambda size: "(" * size,
    "words": lambda size: "a " * (size // 2),
    "quotation marks": lambda size: 'a/b;a="' + '\\"' * (size // 2),
}

QUERIES: dict[str, Filler] = {
    "one field again and again": lambda size: _filled(size, "a", between="&"),
    "many fields, the last one twice": lambda size: _filled(size, "#", between="&", after="&a&a"),
    "escapes": lambda size: _filled(size, "%41", before="userId="),
    "a long cursor": lambda size: "userId=u&before=unread-" + "9" * size,
    "a cursor of hyphens": lambda size: "userId=u&before=" + "-" * size,
    "a long page number": lambda size: "userId=u&pageNo=" + "9" * size,
    "a long flag": lambda size: "userId=u&unread=" + "t" * size,
}

PATHS: dict[str, Filler] = {
    "slashes": lambda size: "/" * size,
    "folders": lambda size: "/a" * (size // 2),
    "escapes": lambda size: "/" + "%2f" * (size // 3),
}


LISTED: dict[str, tuple[str, Filler]] = {
    "cookies of one letter": ("Cookie", lambda size: _filled(size, "a", between=";")),
    "cookies": ("Cookie", lambda size: _filled(size, "a=b", between="; ")),
    "separators of cookies": ("Cookie", lambda size: ";" * size),
    "spaces in cookies": ("Cookie", lambda size: "a=b" + " " * size + ";"),
    "sessions": ("Cookie", lambda size: _filled(size, "myaccount=", between=";")),
    "a quoted cookie": ("Cookie", lambda size: _filled(size, "\\101", before='a="', after='"')),
    "forwarded names": ("X-Forwarded-Host", lambda size: _filled(size, "a#", between=",")),
    "forwarded addresses": ("X-Forwarded-Host", lambda size: ",".join(f"[::{n:x}]" for n in range(size // 8))),
    "separators of names": ("X-Forwarded-Host", lambda size: "," * size),
    "proxies": ("X-Forwarded-For", lambda size: _filled(size, "127.0.0.1", between=",")),
    "a long host": ("Host", lambda size: "a" * size),
    "a long address": ("Host", lambda size: "[" + ":" * size + "]"),
    "an origin": ("Origin", lambda size: "://" * (size // 3)),
    "a key": ("Authorization", lambda size: "Bearer mak_" + "a" * size),
    "schemes": ("X-Forwarded-Proto", lambda size: _filled(size, "https", between=",")),
}


async def _read(form: operation.Operation[Any], request: web.Request) -> None:
    with suppress(InvalidRequest, web.HTTPException):
        await form.read(request)


def _grows_with_the_input(counts: list[int]) -> bool:
    small, large = counts
    return large < 2.5 * small + 500


@pytest.mark.parametrize("name", BODIES)
async def test_the_cost_of_a_body_is_linear(name: str) -> None:
    content_type, filler = BODIES[name]
    for form in FORMS:
        counts = []
        for size in BODY_SIZES:
            request = await _request(filler(size), content_type)
            with Work() as work:
                await _read(form, request)
            counts.append(work.count)
        assert _grows_with_the_input(counts), counts


@pytest.mark.parametrize("name", CONTENT_TYPES)
async def test_the_cost_of_a_content_type_is_linear(name: str) -> None:
    counts = []
    for size in HEAD_SIZES:
        request = await _request("orderId=1", CONTENT_TYPES[name](size))
        with Work() as work:
            await _read(orders.TRANSFER, request)
        counts.append(work.count)
    assert _grows_with_the_input(counts), counts


@pytest.mark.parametrize("name", QUERIES)
async def test_the_cost_of_a_query_is_linear(name: str) -> None:
    counts = []
    for size in HEAD_SIZES:
        request = make_mocked_request("GET", f"/messages?{QUERIES[name](size)}")
        with Work() as work:
            await _read(messages.LIST_MESSAGES, request)
        counts.append(work.count)
    assert _grows_with_the_input(counts), counts


@pytest.mark.parametrize("access", ["open", "keys"])
@pytest.mark.parametrize("name", LISTED)
async def test_the_cost_of_who_asks_is_linear_and_small(name: str, access: str) -> None:
    field, filler = LISTED[name]
    config = CONFIGURATION.check({"access": access, "trusted_proxies": ["127.0.0.1"]})
    app = web.Application()
    app[proxies_key] = Proxies(config["trusted_proxies"])
    nobody: Any = AsyncMock(**{"find.return_value": None, "owner_of_token.return_value": None})
    app[sessions_key] = app[authenticator_key] = nobody
    check = guard_check(config)
    counts = []
    for size in HEAD_SIZES:
        headers = {"Host": "localhost", "X-Forwarded-For": "127.0.0.1", field: filler(size)}
        request = make_mocked_request("POST", "/audit", headers, app=app, transport=_loopback())
        with Work() as work:
            with suppress(UnknownHost, CrossSite):
                check(request)
            await _find_caller(request)
            app[proxies_key].client_address(request)
        counts.append(work.count)
    assert _grows_with_the_input(counts), counts
    # A list of many short parts must not cost much for each.
    assert counts[-1] < 7 * HEAD_SIZES[-1], counts


@pytest.mark.parametrize("name", PATHS)
async def test_the_cost_of_a_path_is_linear(name: str) -> None:
    app = web.Application()
    setup_routes(app)
    counts = []
    for size in HEAD_SIZES:
        url = URL(PATHS[name](size), encoded=True)
        with Work() as work:
            await app.router.resolve(make_mocked_request("GET", str(shortened(url))))
        counts.append(work.count)
    assert _grows_with_the_input(counts), counts


@pytest.mark.parametrize("check", [check_id, check_name, check_text, messages.nid_fits])
@pytest.mark.parametrize("character", [" ", "\u0301", "\u200b", "张", "9", "\u3164"])
def test_the_cost_of_a_text_is_linear(check: Callable[[str], object], character: str) -> None:
    counts = []
    for size in HEAD_SIZES:
        with Work() as work, suppress(ValueError):
            check(character * size)
        counts.append(work.count)
    assert _grows_with_the_input(counts), counts


@pytest.mark.parametrize("ends", [[], ["a", "a"]])
def test_each_name_is_compared_a_few_times(ends: list[str]) -> None:
    for count in (500, 1000):
        pairs = [(Counted(name), "1") for name in [*map(str, range(count)), *ends]]
        Counted.compared = 0
        try:
            body._unique(pairs)
        except InvalidRequest:
            assert ends
        assert Counted.compared < 10 * count


def test_quadratic_work_is_detected() -> None:
    def quadratic(names: list[str]) -> None:
        next((name for name in names if names.count(name) > 1), None)

    counts = []
    for count in (500, 1000):
        names = [str(n) for n in range(count)]
        with Work() as work:
            quadratic(names)
        counts.append(work.count)
    assert not _grows_with_the_input(counts)


@pytest.mark.parametrize(
    "module", [body, characters, field_kinds, operation, messages, stream, money, middlewares]
)
def test_each_repetition_in_a_pattern_has_a_bound(module: ModuleType) -> None:
    """Without unbounded repetition, a pattern cannot backtrack over a long text."""
    for name, pattern in vars(module).items():
        if isinstance(pattern, re.Pattern):
            without_classes = re.sub(r"\[[^\]]*\]", "", pattern.pattern)
            assert not re.search(r"[*+]|,\}", without_classes), name


def test_a_query_that_names_a_field_twice_says_which() -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_query(make_mocked_request("GET", "/messages?a=1&b=1&c=1&b=2&a=2"))
    assert raised.value.field == "b"
