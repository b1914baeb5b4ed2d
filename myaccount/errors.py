"""The errors that refuse a request. Those of the money rules are in ledger/refusals.py.

`code` is for programs, and never changes. The docstring is the title that people read. `field` is the wire name of
the wrong field, if there is one.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar


class RequestError(Exception):
    """The request was refused."""

    code: ClassVar[str]
    # Those of its reply.
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, detail: str, *, field: str | None = None, cause: str = "") -> None:
        super().__init__(detail)
        self.field = field
        # The place in its bulk of the order at fault.
        self.failed: int | None = None
        # For the log, never for a client. It may say more than the detail.
        self.cause = cause or detail

    @property
    def title(self) -> str:
        return (self.__doc__ or "").partition("\n")[0]


class InvalidRequest(RequestError):
    """The request is not valid."""

    code = "invalid_request"


class UnknownHost(RequestError):
    """The service does not answer by this name."""

    code = "unknown_host"


class CrossSite(RequestError):
    """Another site caused the request."""

    code = "cross_site"


class Unauthenticated(RequestError):
    """The request has no valid key or token."""

    code = "unauthenticated"
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class NotAllowed(RequestError):
    """The caller may not do this."""

    code = "not_allowed"


class RateLimited(RequestError):
    """The key, or the user's token, sends more requests than it may."""

    code = "rate_limited"
    # They are counted by the second.
    headers = MappingProxyType({"Retry-After": "1"})


class UserNotFound(RequestError):
    """There is no such user."""

    code = "user_not_found"


class TeamNotFound(RequestError):
    """There is no such team."""

    code = "team_not_found"


class NotAMember(RequestError):
    """The user is not a member of the team."""

    code = "not_a_member"


class OrderNotFound(RequestError):
    """There is no such order."""

    code = "order_not_found"


class UserExists(RequestError):
    """The user id is taken."""

    code = "user_exists"


class AccountExists(RequestError):
    """The account id is taken."""

    code = "account_exists"


class Overloaded(RequestError):
    """The service has more to do than it takes on."""

    code = "overloaded"


class InternalError(RequestError):
    """The service failed."""

    code = "internal_error"


class Unavailable(RequestError):
    """The database cannot be reached or does not answer."""

    code = "unavailable"
