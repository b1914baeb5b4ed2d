"""Following an inbox live, by server-sent events."""

import json
from contextlib import suppress
from typing import Final

from aiohttp import web
from aiohttp_sse import sse_response

from ..keys import live_key, news_key
from ..ledger.errors import LedgerError
from ..logsetup import request_id
from ..metrics import stream_followed
from ..service.messages import News
from ..store.inbox import NEWS_LIMIT, Message
from .forms import Form, identifier
from .messages import nid_fits
from .wording import LANGUAGE, message_row

HEARTBEAT_SECONDS: Final = 15
# A client that takes nothing for so long is cut off.
STALLED_SECONDS: Final = 30
FOLLOW: Final = Form(lambda *values: values, userId=identifier, language=LANGUAGE)


async def stream(request: web.Request) -> web.StreamResponse:
    """Send each new message as it comes, for as long as the client stays, from where it left off last time."""
    user_id, language = await FOLLOW.read(request)
    app, live = request.app, request.app[live_key]
    with stream_followed(), live.watch(user_id) as news:
        newest = await app[news_key].newest(user_id)
        last_seen = request.headers.get("Last-Event-ID", "")
        # What is not there yet cannot have been seen: not here.
        place = min(int(last_seen), newest) if nid_fits(last_seen) else newest
        if request.transport is None:
            # The client has gone already.
            return web.Response()
        headers = {"X-Request-ID": request_id.get()}
        async with sse_response(
            request, headers=headers, ping_interval=HEARTBEAT_SECONDS, send_timeout=STALLED_SECONDS
        ) as response:
            with suppress(ConnectionError, TimeoutError):
                # Whoever is cut off before the first message goes on from here all the same.
                await response.write(f"id: {place}\n\n".encode())
                while response.is_connected() and not live.closed:
                    news.clear()
                    found = await _found(app[news_key], user_id, place)
                    for message in found:
                        place = message.id
                        row = json.dumps(message_row(message, language), ensure_ascii=False)
                        await response.send(row, id=str(place))
                    # When as many are found as are given at once, there may be more.
                    if len(found) < NEWS_LIMIT:
                        await news.wait()
    return response


async def _found(news: News, user_id: str, place: int) -> list[Message]:
    """Return what is new or, while the database cannot say, nothing: the answer has begun, so it can be no 503."""
    try:
        return await news.after(user_id, place)
    except LedgerError:
        return []
