"""Many orders in one request: all or none of them, or each as if it came alone."""

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from aiohttp import web

from ..access.callers import Caller, caller_of
from ..appkeys import journal_key, refusals_key, replayed_key
from ..errors import InternalError, NotAllowed, RequestError
from ..journal.writer import Journal
from ..ledger.commands import AtomicBulk, NameBulk
from ..ledger.maker_rules import scope_by_orders
from ..ledger.order_commands import OrderCommand
from ..ledger.outcomes import Outcome
from ..observability.log_setup import request_id
from ..problems import STATUS_BY_CODE
from .bulk_orders import BULK, SentBulk, field_at
from .submitting import on_wire

_logger: Final = logging.getLogger(__name__)


async def bulk(request: web.Request) -> dict[str, object]:
    # A bulk takes milliseconds to decode, for which the orders that wait already have no time.
    request.app[journal_key].refuse_if_full()
    caller = caller_of(request)
    sent = await BULK.read(request, maker=caller.maker)
    _check_scopes(caller, sent)
    outcomes = await (_submit_atomic if sent.atomic else _submit_each)(request, sent)
    return {
        "result": 0 if any(outcome.error for outcome in outcomes) else 1,
        "ORDERS": [
            {
                "ORDER_ID": order.order_id,
                "RESULT": 0 if outcome.error else 1,
                "CODE": outcome.error.code if outcome.error else None,
                "REPLAYED": outcome.replayed,
            }
            for order, outcome in zip(sent.orders, outcomes, strict=True)
        ],
    }


def _check_scopes(caller: Caller, sent: SentBulk) -> None:
    """Raise NotAllowed if the caller lacks the scope of an order, as far as the bulk tells.

    So nothing is done of a bulk that the caller may not make as a whole. What an order about one of an earlier
    request needs is known only when it is decided: then that order is refused or, in an atomic bulk, all are.
    """
    others = {order.order_id: order for order in sent.orders}
    for place, (operation, order) in enumerate(zip(sent.operations, sent.orders, strict=True)):
        known = scope_by_orders(order, others)
        wanted = operation.scopes if known is None else (known,)
        if caller.scopes.isdisjoint(wanted):
            error = NotAllowed(f"An order of the bulk needs the scope {' or '.join(wanted)}.")
            error.field, error.failed = field_at(place, None), place
            raise error


async def _submit_atomic(request: web.Request, sent: SentBulk) -> Sequence[Outcome]:
    """Return the orders' outcomes, if all are posted. Raises the error of the first that is not."""
    outcome = await request.app[journal_key].submit(AtomicBulk(sent.bulk_id, sent.orders))
    request[replayed_key] = outcome.replayed
    if outcome.error is None:
        return outcome.parts
    if outcome.failed is None:
        raise on_wire(outcome.error, BULK, sent)
    place = outcome.failed
    error = on_wire(outcome.error, sent.operations[place], sent.orders[place])
    error.failed = place
    if error.field is not None:
        error.field = field_at(place, error.field)
    raise error


async def _submit_each(request: web.Request, sent: SentBulk) -> Sequence[Outcome]:
    """Return the outcome of each order, declined and refused ones included. Raises OrderMismatch."""
    journal = request.app[journal_key]
    named = await journal.submit(NameBulk(sent.bulk_id, sent.orders))
    if named.error is not None:
        raise on_wire(named.error, BULK, sent)
    # Tasks begin in the order in which they are made, so the journal gets the orders in theirs.
    outcomes = await asyncio.gather(*[_outcome(journal, order) for order in sent.orders])
    for cause in {error.cause for error in map(_unavailable, outcomes) if error}:
        request.app[refusals_key].note(cause, request_id.get())
    request[replayed_key] = named.replayed and all(outcome.replayed for outcome in outcomes)
    return outcomes


async def _outcome(journal: Journal, order: OrderCommand) -> Outcome:
    try:
        return await journal.submit(order)
    except RequestError as error:
        return Outcome(error)
    except Exception:
        # Other orders may be posted already, and the client must learn of that.
        _logger.exception("An order of a bulk failed.")
        return Outcome(InternalError("The service failed. Its log tells more under this request id."))


def _unavailable(outcome: Outcome) -> RequestError | None:
    """Return the error of an order that was not taken on, or whose outcome is unknown."""
    error = outcome.error
    return error if error and STATUS_BY_CODE[error.code] == HTTPStatus.SERVICE_UNAVAILABLE else None
