"""Tokens for users, so that a shop's app need not carry the shop's key."""

from datetime import timedelta
from typing import Final, NamedTuple

from aiohttp import web

from ..access.callers import caller_of
from ..access.tokens import make_token
from ..appkeys import account_queries_key, authenticator_key
from ..database.times import iso_time
from ..errors import NotAllowed, UserNotFound
from .common_fields import USER_ID
from .field_kinds import whole
from .operation import Field, Operation, Texts


class WantedToken(NamedTuple):
    """Whose token is wanted, and for how many seconds."""

    user_id: str
    expires_in: int


USER_TOKEN: Final = Operation(
    "/usertoken",
    WantedToken,
    {
        "userId": USER_ID,
        "expiresIn": Field(whole(1, 86_400), "有效期（秒）", "Seconds until it expires", "3600", default=3600),
    },
    Texts(
        "用户令牌",
        "User token",
        "签发用户令牌：凭它只能查看该用户自己的账户、订单和消息。",
        "Makes a token with which a user reads the user's own accounts, orders and messages, and nothing else.",
    ),
    scopes=("tokens",),
    errors=(UserNotFound,),
)


async def usertoken(request: web.Request) -> dict[str, object]:
    user_id, expires_in = await USER_TOKEN.read(request)
    if caller_of(request).kind == "nobody":
        # Anybody could make tokens that would still work once the service has keys.
        raise NotAllowed("An open service makes no tokens. It needs `access: keys` in its configuration.")
    if await request.app[account_queries_key].fetch(user_id) is None:
        raise UserNotFound(f"There is no user {user_id!r}.", field="userId")
    signing = await request.app[authenticator_key].signing()
    expires_at = signing.clock.now().replace(microsecond=0) + timedelta(seconds=expires_in)
    return {
        "result": 1,
        "TOKEN": make_token(user_id, expires_at, signing),
        "EXPIRES_AT": iso_time(expires_at),
    }
