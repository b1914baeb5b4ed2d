"""Live messages, by server-sent events."""

import asyncio
from contextlib import nullcontext, suppress
from functools import lru_cache
from typing import Final

from aiohttp import web
from aiohttp_sse import sse_response

from ..access.authorisation import is_known_still
from ..access.callers import caller_of
from ..access.scopes import OWN
from ..appkeys import feed_key, notifications_key
from ..errors import RequestError, UserNotFound
from ..inbox.feed import FeedPosition
from ..inbox.queries import Feed
from ..inbox.wording import message_text
from ..observability.log_setup import request_id
from ..observability.metrics import stream_followed
from ..protocol import sends_no_more
from .common_fields import LANGUAGE, USER_ID
from .field_kinds import Kind
from .messages import nid_fits
from .operation import Field, Operation, Texts
from .own_data import user_as_seen

HEARTBEAT_SECONDS: Final = 15
# A client that receives nothing for this long is disconnected.
STALLED_SECONDS: Final = 30
# After a read that failed.
READ_AGAIN_SECONDS: Final = 1
# Several streams may follow one inbox.
_encoded: Final = lru_cache(1000)(message_text)

# Read before the fields are: see access/authorisation.py. EventSource cannot send a header.
TOKEN: Final = Field(Kind(lambda token: token), "用户令牌", "User's token", "WyJ1MSIsMTc.q3Vh", default=None)
FOLLOW_MESSAGES: Final = Operation(
    "/messages/stream",
    lambda user_id, language, token: (user_id, language),
    {"userId": USER_ID, "language": LANGUAGE, "token": TOKEN},
    Texts("实时消息", "Live messages", "实时接收用户的新消息。", "Sends each new message of a user as it comes."),
    scopes=("messages:read", OWN),
    errors=(UserNotFound,),
)


async def stream(request: web.Request) -> web.StreamResponse:
    """Send each new message while the client is connected. A reconnected client continues after its last one."""
    asked_for, language = await FOLLOW_MESSAGES.read(request)
    with user_as_seen(caller_of(request), asked_for) as user_id:
        return await _follow(request, user_id, language)


async def _follow(request: web.Request, user_id: str, language: str) -> web.StreamResponse:
    feed, notifications = request.app[feed_key], request.app[notifications_key]
    with stream_followed(), notifications.subscribe(user_id) as notified:
        newest = await feed.newest_id(user_id)
        last_seen = request.headers.get("Last-Event-ID", "")
        position = FeedPosition(feed, user_id, int(last_seen) if nid_fits(last_seen) else newest)
        behind = position.message_id != newest
        if request.transport is None:
            # The client has disconnected already.
            return web.Response()
        headers = {"X-Request-ID": request_id.get()}
        async with sse_response(
            request, headers=headers, ping_interval=HEARTBEAT_SECONDS, send_timeout=STALLED_SECONDS
        ) as response:
            with suppress(ConnectionError, TimeoutError):
                # A client that is disconnected before its first message needs an id to continue after.
                await response.write(f"id: {position.message_id}\n\n".encode())
                while response.is_connected() and not notifications.closed:
                    notified.clear()
                    async with feed.turn_to_catch_up(user_id) if behind else nullcontext():
                        found = await _next(request, position, notified)
                        if found.messages and not await is_known_still(request):
                            break
                        for message in found.messages:
                            await feed.turn()
                            await response.send(_encoded(message, language), id=str(message.id))
                    behind = found.more
                    if not behind:
                        if sends_no_more(request):
                            break
                        await notified.wait()
    return response


async def _next(request: web.Request, position: FeedPosition, notified: asyncio.Event) -> Feed:
    """Return the new messages, or none if they cannot be read: a reply that has begun cannot become a 503.

    The stream then reads again after a while, since no notification comes twice.
    """
    if request.transport is None:
        # The client has left, perhaps while the stream waited for its turn.
        raise ConnectionResetError
    try:
        return await position.next()
    except RequestError:
        asyncio.get_running_loop().call_later(READ_AGAIN_SECONDS, notified.set)
        return Feed([], more=False)
