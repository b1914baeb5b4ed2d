"""The 40 exchanges recorded with the demo, replayed in order on an empty database."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import ClientResponse, ClientSession

from ..conftest import Client

EXCHANGES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "exchanges.json").read_text("utf-8"))

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


@pytest.mark.parametrize("content_type", [FORM, JSON])
async def test_every_exchange_is_answered_as_the_contract_says(client: Client, content_type: str) -> None:
    await replay(client.session, str(client.make_url("")).rstrip("/"), content_type)


async def replay(session: ClientSession, address: str, content_type: str) -> None:
    """Hold a service on an empty database against the contract."""
    assert len(EXCHANGES) == 40
    for exchange in EXCHANGES:
        request = exchange["request"]
        body, headers = _body(request, content_type)
        url = address + request["path"]
        async with session.request(request["method"], url, data=body, headers=headers) as response:
            await _check(response, exchange)


def _body(request: dict[str, Any], content_type: str) -> tuple[bytes | None, dict[str, str]]:
    if "raw" in request:
        return request["raw"].encode(), {"Content-Type": request["content_type"]}
    if "form" not in request:
        return None, {}
    text = urlencode(request["form"]) if content_type == FORM else json.dumps(request["form"])
    return text.encode(), {"Content-Type": content_type}


async def _check(response: ClientResponse, exchange: dict[str, Any]) -> None:
    """Hold the reply against the contract; the demo's own replies name rows by ID, which is each database's."""
    name = exchange["name"]
    expected = exchange["demo"] if exchange["rewrite"] == "same as demo" else exchange["rewrite"]
    text = await response.text()
    assert (response.status, response.content_type) == (expected["status"], expected["content_type"]), (
        name,
        text,
    )
    if "text" in expected:
        assert text == expected["text"], name
    if "json" in expected:
        assert expected["json"].items() <= json.loads(text).items(), name
    if "json_has" in expected:
        assert expected["json_has"].items() <= json.loads(text).items(), name
    if "json_rows_have" in expected:
        rows = json.loads(text)["result"]
        assert len(rows) == len(expected["json_rows_have"]), name
        for row, has in zip(rows, expected["json_rows_have"], strict=True):
            assert has.items() <= row.items(), name
    for header, value in exchange["rewrite"].get("header", {}).items() if "header" in expected else ():
        assert response.headers[header] == value, name
