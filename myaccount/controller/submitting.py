"""Hands commands to the journal, and raises the errors of their outcomes with the names of the wire."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from aiohttp import web

from ..access.callers import caller_of
from ..access.doers import doer_of
from ..appkeys import journal_key, replayed_key
from ..database.times import utc_now
from ..errors import RequestError
from ..ledger.commands import Command
from ..ledger.references import AccountId, UserCurrency
from .operation import Operation

Made = TypeVar("Made")

# {"result": 1}, which is the reply to nearly every order, so it is encoded once.
DONE_REPLY: Final = b'{"result": 1}\n'


async def submit_order(operation: Operation[Any], request: web.Request) -> bytes:
    """Have the operation's order decided, made by the caller. Raises the error of its outcome."""
    return await _decide(operation, request, await operation.read(request, maker=caller_of(request).maker))


async def submit_change(operation: Operation[Any], request: web.Request) -> bytes:
    """Have the operation's change of an account decided, done by the caller. Raises the error of its outcome."""
    return await _decide(operation, request, await operation.read(request, doer=doer_of(request)))


async def submit_opening(operation: Operation[Any], request: web.Request) -> bytes:
    """Have the operation's opening of an account decided. Raises the error of its outcome."""
    return await _decide(operation, request, await operation.read(request, sent_at=utc_now()))


async def _decide(operation: Operation[Any], request: web.Request, command: Command) -> bytes:
    outcome = await request.app[journal_key].submit(command)
    request[replayed_key] = outcome.replayed
    if outcome.error is not None:
        raise on_wire(outcome.error, operation, command)
    return DONE_REPLY


def on_wire(error: RequestError, operation: Operation[Any], command: object) -> RequestError:
    """Return the error of the command's outcome; its field, an attribute of the command, gets its wire name."""
    names = operation.names_of(error.field) if error.field is not None else []
    if names:
        # The first name of a party is that of a user, the second that of an account.
        is_account = isinstance(getattr(command, error.field or ""), AccountId)
        error.field = names[-1] if is_account else names[0]
    return error


def in_currency(make: Callable[..., Made]) -> Callable[..., Made]:
    """Return `make` such that, where the order names a currency, a user means the user's account in that."""

    def made(**values: Any) -> Made:
        currency = values["currency"]
        if currency is not None:
            for role in ("payer", "payee"):
                if isinstance(user_id := values.get(role), str):
                    values[role] = UserCurrency(user_id, currency)
        return make(**values)

    return made
