"""The definition of a bulk, and its orders as commands."""

from typing import Any, Final, NamedTuple

from ..errors import InvalidRequest
from ..ledger.makers import Maker
from ..ledger.order_commands import OrderCommand
from ..ledger.refusals import OrderMismatch
from . import holds, orders
from .body import refuse_repeated
from .field_kinds import FLAG, IDENTIFIER, Kind
from .operation import Field, Operation, Texts

ORDERS_LIMIT: Final = 1_000

# The orders that a bulk may have, by their type.
ORDER_OPERATIONS: Final[dict[str, Operation[Any]]] = {
    operation.path.removeprefix("/"): operation
    for operation in (
        orders.RECHARGE,
        orders.TRANSFER,
        orders.WITHDRAW,
        orders.REFUND,
        holds.HOLD,
        holds.CAPTURE,
        holds.RELEASE,
        holds.EXTEND,
    )
}


class SentBulk(NamedTuple):
    """A bulk, with its orders as commands."""

    bulk_id: str
    atomic: bool
    orders: tuple[OrderCommand, ...]
    # Of each order.
    operations: tuple[Operation[Any], ...]


def _bulk(bulk_id: str, atomic: bool, orders: list[object], maker: Maker | None = None) -> SentBulk:
    """Return the bulk. Raises InvalidRequest, whose field begins with the place of the order at fault."""
    operations, commands = [], []
    seen: set[str] = set()
    for place, item in enumerate(orders):
        try:
            operation, command = _order(item, bulk_id, maker)
            if command.order_id in seen:
                raise InvalidRequest("The bulk has another order with this id.", field="orderId")
        except InvalidRequest as error:
            error.field = field_at(place, error.field)
            raise
        operations.append(operation)
        commands.append(command)
        seen.add(command.order_id)
    return SentBulk(bulk_id, atomic, tuple(commands), tuple(operations))


def _order(item: object, bulk_id: str, maker: Maker | None) -> tuple[Operation[Any], OrderCommand]:
    if not isinstance(item, dict):
        raise InvalidRequest("An order must be an object with its fields as members.")
    refuse_repeated(item)
    operation = _operation(item)
    fields = {name: value for name, value in item.items() if name != "type"}
    return operation, operation.parse(fields, bulk_id=bulk_id, maker=maker)


def _operation(item: dict[str, object]) -> Operation[Any]:
    if "type" not in item:
        raise InvalidRequest("The field type is missing.", field="type")
    operation = ORDER_OPERATIONS.get(name) if isinstance(name := item["type"], str) else None
    if operation is None:
        raise InvalidRequest(f"The field type must be one of {', '.join(ORDER_OPERATIONS)}.", field="type")
    return operation


def field_at(place: int, field: str | None) -> str:
    """Return the name of an order's field in the bulk, or of the order itself."""
    return f"orders[{place}]" if field is None else f"orders[{place}].{field}"


def _orders(value: list[object]) -> list[object]:
    if not isinstance(value, list) or not 1 <= len(value) <= ORDERS_LIMIT:
        raise ValueError(f"must be an array of 1 to {ORDERS_LIMIT} orders")
    return value


BULK: Final = Operation(
    "/bulk",
    _bulk,
    {
        "bulkId": Field(IDENTIFIER, "批次号", "Bulk id", "b1"),
        "atomic": Field(FLAG, "原子", "Atomic", "true", default=False),
        "orders": Field(
            Kind(_orders, list, "must be an array of orders"),
            "订单",
            "Orders",
            '[{"type": "recharge", "orderId": "r1", "userId": "u1", "amount": "100.00"}]',
        ),
    },
    Texts(
        "批量",
        "Bulk",
        "一次发送最多 1000 笔订单：全部成功或全部失败，或者逐笔处理。",
        "Sends up to 1,000 orders at once: all or none of them, or each on its own.",
    ),
    scopes=("money:in", "money:move", "money:out"),
    errors=(OrderMismatch,),
    body_limit_bytes=1024 * 1024,
    json_only=True,
)
