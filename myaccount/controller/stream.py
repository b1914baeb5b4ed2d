"""Following an inbox live, by server-sent events."""

import json
from contextlib import suppress
from typing import Final

from aiohttp import web
from aiohttp_sse import sse_response

from ..appkeys import news_key, notifications_key
from ..errors import RequestError, UserNotFound
from ..inbox.news import Place
from ..inbox.queries import NEWS_LIMIT, Message
from ..inbox.wording import message_row
from ..observability.log_setup import request_id
from ..observability.metrics import stream_followed
from .common_fields import LANGUAGE, USER_ID
from .messages import nid_fits
from .operation import Operation, Texts

HEARTBEAT_SECONDS: Final = 15
# A client that takes nothing for so long is cut off.
STALLED_SECONDS: Final = 30
FOLLOW: Final = Operation(
    "/messages/stream",
    lambda user_id, language: (user_id, language),
    {"userId": USER_ID, "language": LANGUAGE},
    Texts("实时消息", "Live messages", "实时接收用户的新消息。", "Sends each new message of a user as it comes."),
    scope="messages:read",
    errors=(UserNotFound,),
)


async def stream(request: web.Request) -> web.StreamResponse:
    """Send each new message as it comes, for as long as the client stays, from where it left off last time."""
    user_id, language = await FOLLOW.read(request)
    app, notifications = request.app, request.app[notifications_key]
    with stream_followed(), notifications.subscribe(user_id) as notified:
        newest = await app[news_key].newest(user_id)
        last_seen = request.headers.get("Last-Event-ID", "")
        place = Place(app[news_key], user_id, int(last_seen) if nid_fits(last_seen) else newest)
        if request.transport is None:
            # The client has gone already.
            return web.Response()
        headers = {"X-Request-ID": request_id.get()}
        async with sse_response(
            request, headers=headers, ping_interval=HEARTBEAT_SECONDS, send_timeout=STALLED_SECONDS
        ) as response:
            with suppress(ConnectionError, TimeoutError):
                # A client that is cut off before the first message goes on from here as well.
                await response.write(f"id: {place.message_id}\n\n".encode())
                while response.is_connected() and not notifications.closed:
                    notified.clear()
                    found = await _next(place)
                    for message in found:
                        row = json.dumps(message_row(message, language), ensure_ascii=False)
                        await response.send(row, id=str(message.id))
                    # When as many are found as are given at once, there may be more.
                    if len(found) < NEWS_LIMIT:
                        await notified.wait()
    return response


async def _next(place: Place) -> list[Message]:
    """Return what is new or, while the database cannot say, nothing: the answer has begun, so it can be no 503."""
    try:
        return await place.next()
    except RequestError:
        return []
