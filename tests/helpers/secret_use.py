"""All ways in which clients use secrets and card numbers, right and wrong, one after another."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from myaccount.database.database import open_database
from myaccount.settings.schema import CONFIGURATION

from ..conftest import Section
from .callers import bearer, without
from .mixed_run import Run
from .operators import new_operator

CARD: Final = "6222020001987654"
USER: Final = {
    "userId": "u1", "userName": "N", "sex": "F", "cardNum": CARD, "accountId": "a1", "accountType": "01",
}  # fmt: skip
ORDER: Final = {"orderId": "r1", "userId": "u1", "amount": "5"}
JSON: Final = {"Content-Type": "application/json"}


async def use_keys(run: Run) -> dict[str, str]:
    """Return the headers of a key that may do everything, but see no card numbers."""
    scopes = ("--scopes", ",".join(without(["cards"])))
    first = await run.new_key("first key", "create", "--name", "shop", "--rate", "100000/s", *scopes)
    shop = await run.new_key("key", "rotate", "shop", "--overlap", "24h")
    gone = await run.new_key("revoked key", "create", "--name", "gone", *scopes)
    await run.command("keys", "revoke", "gone")
    await run.command("keys")
    wrong = f"mak_{'a' * 12}_{run.known.new('wrong key') * 2}"
    for key, status in ((first, 200), (shop, 200), (gone, 401), (wrong, 401), (f"{shop}0", 401)):
        await run.ask(status, "GET", "/errors", headers=bearer(key))
    # In a wrong place.
    await run.ask(401, "GET", "/errors", params={"key": shop})
    await run.ask(401, "GET", "/errors", headers={"X-API-Key": shop})
    await run.ask(401, "GET", "/errors", headers={"Authorization": f"Basic {shop}"})
    await run.ask(404, "GET", f"/{shop}")
    await run.ask(400, "POST", "/querorder", headers=bearer(shop), data={"orderId": "r1", "key": shop})
    return bearer(shop)


async def move_money(run: Run, shop: Mapping[str, str]) -> None:
    for status, path, fields in (
        (200, "/openacc", USER),
        (409, "/openacc", USER),
        (400, "/openacc", USER | {"cardNum": CARD * 5}),
        (400, "/openacc", USER | {"sex": CARD}),
        (200, "/queryacc", {"userId": "u1"}),
        (200, "/recharge", ORDER | {"note": f"From {CARD}."}),
        (422, "/recharge", ORDER | {"note": f"By {CARD}."}),
        (400, "/recharge", ORDER | {"cardNum": CARD}),
        (400, "/recharge", ORDER | {"amount": CARD}),
        (400, f"/recharge?cardNum={CARD}", ORDER),
        (404, f"/recharge/{CARD}", ORDER),
    ):
        await run.ask(status, "POST", path, headers=shop, data=fields)
    assert f"******{CARD[-4:]}" in "".join(run.shown)
    await run.ask(405, "GET", f"/openacc?cardNum={CARD}", headers=shop)
    await run.ask(400, "POST", "/openacc", headers={**shop, **JSON}, data=f'{{"cardNum": "{CARD}"')


async def use_tokens(run: Run, shop: Mapping[str, str]) -> str:
    """Return the address of a stream."""
    _, text = await run.ask_for_secret("POST", "/usertoken", headers=shop, data={"userId": "u1"})
    token = run.known.keep("token", json.loads(text)["TOKEN"])
    run.known.keep("signature of a token", token.partition(".")[2])
    stream = f"/messages/stream?userId=u1&token={token}"
    async with run.session.get(f"{run.nginx.address}{stream}") as response:
        assert (await response.content.readline()).startswith(b"id: ")
    # The note of the recharge is shown to its user as it was written.
    await run.ask(200, "GET", "/messages?userId=u1&messageType=account_opened", headers=bearer(token))
    for status, path in (
        (401, f"{stream}x"),
        (400, f"{stream}&language=xx"),
        (404, stream.replace("u1", "u2")),
        (401, stream.replace("token=", "tokens=")),
        (401, stream.replace("/stream", "")),
        (404, stream.replace("/stream", "/strean")),
    ):
        await run.ask(status, "GET", path)
    return stream


async def sign_in_and_out(run: Run, mysql: Section) -> None:
    password, wrong, new = (run.known.new(f"{which} password") for which in ("right", "wrong", "new"))
    async with open_database(CONFIGURATION.check({"mysql": mysql}), Path()) as database:
        await new_operator(database, "alice", password=password)
    right = {"name": "alice", "password": password}
    for number, (status, fields) in enumerate((
        (401, right | {"password": wrong}),
        (401, {"name": password, "password": "alice"}),
        (400, {"name": "alice", "pasword": password}),
        (400, right | {"password": wrong * 20}),
    )):  # fmt: skip
        # Too many from one address would be refused.
        await run.ask(status, "POST", "/signin", data=fields, headers={"X-Forwarded-For": f"192.0.2.{number}"})
    await run.ask(400, "POST", "/signin", params=right)
    await run.ask(200, "GET", "/signin", params=right)
    response = await run.ask(303, "POST", "/signin", data=right)
    cookie = run.known.keep("cookie", response.cookies["__Host-myaccount"].value)
    signed_in = {"Cookie": f"__Host-myaccount={cookie}"}
    again = {"newPassword": new, "again": new}
    for status, method, path, form in (
        (200, "GET", "/account", None),
        (200, "POST", "/queryacc", {"userId": "u1"}),
        (401, "POST", "/account/password", {"password": wrong, **again}),
        (400, "POST", "/account/password", {"password": password, **again, "again": wrong}),
        (303, "POST", "/account/password", {"password": password, **again}),
        (303, "POST", "/signout", None),
        (401, "GET", "/account", None),
    ):
        await run.ask(status, method, path, data=form, headers=signed_in)
