"""Hands commands to the journal, and raises the errors of their outcomes with the names of the wire."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from aiohttp import web

from ..access.callers import Caller, caller_of
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


# Returns what a command is made of beside the fields of its request.
More = Callable[[Caller], dict[str, object]]


def made_by_caller(caller: Caller) -> dict[str, object]:
    """Return what an order has beside its fields."""
    return {"maker": caller.maker}


def sent_now(caller: Caller) -> dict[str, object]:
    """Return what an opening has beside its fields."""
    return {"sent_at": utc_now()}


async def submit(operation: Operation[Any], more: More, request: web.Request) -> bytes:
    """Have the operation's command decided. Raises the error of its outcome."""
    return await _decide(operation, request, await operation.read(request, **more(caller_of(request))))


async def submit_change(operation: Operation[Any], request: web.Request) -> bytes:
    """Have the operation's change of an account decided, done by the caller. Raises the error of its outcome."""
    return await _decide(operation, request, await operation.read(request, doer=doer_of(request)))


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
