"""Health and metrics, for monitoring."""

import asyncio
import json
from http import HTTPStatus

from aiohttp import web

from ..appkeys import health_key
from ..observability.exposition import CONTENT_TYPE, exposition
from ..observability.metrics import count_noted


async def healthz(request: web.Request) -> dict[str, object]:
    """Any reply shows that the process runs."""
    return {"status": "ok"}


async def readyz(request: web.Request) -> web.Response:
    readiness = await request.app[health_key].readiness()
    return web.Response(
        text=json.dumps({"ready": readiness.ready, **readiness._asdict()}) + "\n",
        status=HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE,
        content_type="application/json",
    )


async def metrics(request: web.Request) -> web.Response:
    samples = await request.app[health_key].samples()
    count_noted()
    # In a thread: with many workers this takes tens of milliseconds, which would delay orders.
    body = await asyncio.to_thread(exposition, samples)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})
