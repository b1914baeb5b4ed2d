"""A user's own token: it shows what is the user's own, and nothing else."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from myaccount.access.audit_rows import COMMAND_LINE
from myaccount.access.key_rows import revoke_keys
from myaccount.access.operators.operator_rows import end_sessions
from myaccount.access.tokens import make_token
from myaccount.appkeys import authenticator_key
from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.main import create_app
from myaccount.settings.schema import Config

from ..conftest import Client, ClientOf, Section, Server, eventually
from ..helpers.callers import ALL, bearer, client_with, new_key, read_keys_again
from ..helpers.operators import new_operator, quick_passwords, sign_in
from ..helpers.statements import statements_by_request
from ..helpers.streams import Stream
from ..helpers.wallets import Answer, open_account, post

USERS = ("u1", "u2", "u3")


@pytest.fixture
def queue() -> Section:
    return {"access": "keys"}


@pytest.fixture
async def shop(client: Client, database: Database) -> AsyncIterator[Client]:
    """A client whose key may do everything. Three users have accounts."""
    async with client_with(client, await new_key(database, "all", *ALL)) as shop:
        for user in USERS:
            await open_account(shop, user, f"a-{user}")
        assert (await post(shop, "/recharge", orderId="r1", userId="u1", amount="100")).code == "done"
        moved = await post(shop, "/transfer", orderId="t1", fromuserId="u1", touserId="u2", amount="1")
        assert moved.code == "done"
        yield shop


async def _token(shop: Client, user_id: str, **fields: object) -> str:
    answer = await post(shop, "/usertoken", userId=user_id, **fields)
    assert answer.status == 200, answer
    return str(answer.body["TOKEN"])


def _content(answer: Answer, replace: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Return the body without the request's id, and with these words of the detail replaced."""
    body = {name: value for name, value in answer.body.items() if name != "request_id"}
    for old, new in replace.items():
        body |= {"detail": body["detail"].replace(old, new)} if "detail" in body else {}
    return body


async def test_a_token_tells_when_it_expires(shop: Client) -> None:
    given: list[tuple[dict[str, object], int]] = [
        ({}, 3600),
        ({"expiresIn": 1}, 1),
        ({"expiresIn": "86400"}, 86_400),
    ]
    for fields, seconds in given:
        answer = await post(shop, "/usertoken", userId="u1", **fields)
        assert answer.body["result"] == 1
        left = datetime.fromisoformat(answer.body["EXPIRES_AT"].removesuffix("Z")) - utc_now()
        assert seconds - 20 < left.total_seconds() <= seconds
        assert answer.body["EXPIRES_AT"].endswith(".000000Z")
    for wrong in (0, 86_401, "soon"):
        assert (await post(shop, "/usertoken", userId="u1", expiresIn=wrong)).field == "expiresIn"
    assert (await post(shop, "/usertoken", userId="nobody")).code == "user_not_found"


async def test_a_user_reads_what_is_the_users_own(shop: Client) -> None:
    async with client_with(shop, await _token(shop, "u1")) as app:
        (row,) = (await post(app, "/queryacc", userId="u1")).body["result"]
        assert (row["USER_ID"], row["CARD_NUM"]) == ("u1", "******")
        for order_id in ("r1", "t1"):
            assert (await post(app, "/querorder", orderId=order_id)).body["ORDER_ID"] == order_id
        assert (await post(app, "/messages", userId="u1")).body["pageNo"] == 1
        assert (await post(app, "/messages/read", userId="u1", upTo=0)).body["result"] == 1
    async with client_with(shop, await _token(shop, "u2")) as app:
        assert (await post(app, "/querorder", orderId="t1")).body["TO_USER_ID"] == "u2"


async def test_a_user_learns_neither_who_made_an_order_nor_what_concerns_the_other_party(shop: Client) -> None:
    await post(shop, "/freeze", accountId="a-u3", frozen="all", reason="r")
    for order_id, payer, payee, reason in (
        ("poor", "u2", "u1", "insufficient_funds"),
        ("frozen", "u3", "u1", "account_frozen"),
        ("own", "u1", "u2", "insufficient_funds"),
    ):
        order = {"type": "transfer", "orderId": order_id, "fromuserId": payer, "touserId": payee, "amount": 500}
        assert (await post(shop, "/bulk", bulkId=f"b-{order_id}", orders=[order])).status == 200
        seen = (await post(shop, "/querorder", orderId=order_id)).body
        assert (seen["REASON"], seen["BULK_ID"]) == (reason, f"b-{order_id}")
        assert seen["MADE_BY"]
        for user in (payer, payee):
            async with client_with(shop, await _token(shop, user)) as app:
                answer = (await post(app, "/querorder", orderId=order_id)).body
            shown = reason if user == payer else None
            assert answer == seen | {"MADE_BY": None, "BULK_ID": None, "REASON": shown}
    # Nobody pays the first, so it is the payee's own.
    refused = await post(shop, "/recharge", orderId="r2", userId="u3", amount="1")
    assert refused.code == "account_frozen"
    async with client_with(shop, await _token(shop, "u3")) as app:
        assert (await post(app, "/querorder", orderId="r2")).body["REASON"] == "account_frozen"


async def test_a_decline_is_told_to_the_payer_alone(shop: Client) -> None:
    declined = await post(shop, "/transfer", orderId="poor", fromuserId="u2", touserId="u1", amount="500")
    assert declined.code == "insufficient_funds"

    async def types(user: str) -> list[str]:
        async with client_with(shop, await _token(shop, user)) as app:
            return [row["MESSAGE_TYPE"] for row in (await post(app, "/messages", userId=user)).body["result"]]

    async def is_told() -> bool:
        return "decline" in await types("u2")

    await eventually(is_told)
    assert "decline" not in await types("u1")


async def test_a_team_of_others_is_answered_like_one_that_is_not_there(shop: Client) -> None:
    for team, member in (("own", "u3"), ("others", "u1"), ("left", "u3")):
        assert (await post(shop, "/team", teamId=team, teamName="T", add=[member])).code == "done"
        assert (await post(shop, "/teammessage", teamId=team, title="T", text="x")).code == "done"
    await eventually(lambda: _has_message(shop, "left"))
    assert (await post(shop, "/team", teamId="left", remove=["u3"])).code == "done"
    async with client_with(shop, await _token(shop, "u3")) as app:

        async def read(team: str, user: str = "u3") -> Answer:
            return await post(app, "/messages/read", userId=user, upTo=7, teamId=team)

        for team in ("own", "left"):
            assert (await read(team)).body["result"] == 1
        hidden, absent = await read("others"), await read("nothing")
        assert (absent.status, absent.code, absent.field) == (404, "team_not_found", "teamId")
        assert _content(hidden) == _content(absent, replace={"nothing": "others"})
        # Nor does it learn of whom a team is.
        assert (await read("others", "u1")).code == (await read("nothing", "u1")).code == "user_not_found"
    # The shop may know.
    for team, code in (("others", "not_a_member"), ("nothing", "team_not_found")):
        assert (await post(shop, "/messages/read", userId="u3", upTo=7, teamId=team)).code == code


async def _has_message(shop: Client, team: str) -> bool:
    answer = await post(shop, "/teammessages", userId="u3", teamId=team)
    return bool(answer.body.get("total"))


async def test_a_token_that_is_wrong_or_has_expired_is_not_known(shop: Client) -> None:
    signing = await shop.server.app[authenticator_key].signing()  # type: ignore[attr-defined]
    now = signing.clock.now()
    right = make_token("u1", now + timedelta(seconds=60), signing)
    other = make_token("u1", now + timedelta(seconds=60), signing._replace(secret="0" * 64))
    payload, _, signature = right.partition(".")
    forged = make_token("u2", now + timedelta(seconds=60), signing).partition(".")[0]
    for token in (other, f"{forged}.{signature}", payload, f".{right}", f"{payload}.", right[:-2],
                  make_token("u1", now, signing), make_token("u1", now - timedelta(days=1), signing)):  # fmt: skip
        async with client_with(shop, token) as app:
            refused = await post(app, "/queryacc", userId="u1")
            assert (refused.status, refused.code) == (401, "unauthenticated"), token
    async with client_with(shop, right) as app:
        assert (await post(app, "/queryacc", userId="u1")).status == 200


async def test_a_browser_follows_with_the_token_in_the_address_and_no_log_shows_it(
    client: Client, shop: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = await _token(shop, "u1")
    async with client.get(f"/messages/stream?userId=u1&token={token}") as response:
        assert response.status == 200
        for expected in (b"id: ", b"\n"):
            assert (await response.content.readline()).startswith(expected)
        assert (await post(shop, "/recharge", orderId="r2", userId="u1", amount="5")).code == "done"
        # Messages of earlier orders may come first.
        while await Stream(response).sources(1) != ["r2"]:
            pass
    for address in (
        f"/messages?userId=u1&token={token}",
        f"/messages/stream?userId=u1&token={token}x",
        f"/messages/stream?userId=u1&token={token}&token={token}",
        f"/messages/stream?userId=&token={token}",
        f"/messages/stream?token={token}",
        f"/messages/stream?userId=u1&token={token}&language=xx",
        f"/messages/stream?userId=u1&tokens={token}",
        f"/messages/strean?userId=u1&token={token}",
    ):
        async with client.get(address) as response:
            assert response.status in (400, 401, 404)
            assert token not in await response.text()
    assert token not in caplog.text
    assert "/messages/stream" in caplog.text


@pytest.mark.parametrize("caller", ["token", "key", "session"])
async def test_a_stream_ends_before_it_sends_anything_to_a_caller_who_is_not_known_any_more(
    client: Client, shop: Client, database: Database, caller: str
) -> None:
    signing = await client.server.app[authenticator_key].signing()  # type: ignore[attr-defined]
    await new_operator(database, "alice")
    with quick_passwords():
        cookie = (await sign_in(client, "alice")).cookies["myaccount"].value
    headers = {
        "token": bearer(make_token("u1", signing.clock.now() + timedelta(seconds=60), signing)),
        "key": bearer(await new_key(database, "reader", "messages:read")),
        "session": {"Cookie": f"myaccount={cookie}"},
    }
    await read_keys_again(client)

    async def is_told() -> bool:
        return bool((await post(shop, "/messages", userId="u1")).body["total"] == 3)

    # Else a message of before could come while the caller is still known.
    await eventually(is_told)
    async with client.get("/messages/stream?userId=u1", headers=headers[caller]) as response:
        assert (await response.content.readline()).startswith(b"id: ")
        match caller:
            case "token":
                signing.clock._begin += timedelta(seconds=60)
            case "key":
                await revoke_keys(database, "reader", utc_now())
                await read_keys_again(client)
            case "session":
                await end_sessions(database, "alice", utc_now(), COMMAND_LINE, keep=0)
        assert (await post(shop, "/recharge", orderId="r2", userId="u1", amount="5")).code == "done"
        async with asyncio.timeout(60):
            assert b"data:" not in await response.content.read()


async def test_no_row_is_kept_of_a_token(shop: Client) -> None:
    with statements_by_request() as statements:
        async with shop.post("/usertoken", data={"userId": "u1"}) as response:
            assert response.status == 200
    asked = str(statements[response.headers["X-Request-ID"]])
    assert "SELECT" in asked
    assert re.search("INSERT|REPLACE|UPDATE|DELETE", asked) is None


async def test_an_open_service_makes_no_token_that_would_still_work_once_it_has_keys(config: Config) -> None:
    open_config: Any = {name: value for name, value in config.items() if name != "access"}
    async with Server(create_app(open_config)) as server, ClientOf(server) as anybody:
        await open_account(anybody, "u1", "a1")
        answer = await post(anybody, "/usertoken", userId="u1")
        assert (answer.status, answer.code) == (403, "not_allowed")
        assert "access: keys" in answer.body["detail"]
