"""Looking at orders. They are submitted to the journal itself."""

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..errors import OrderNotFound
from .order_rows import OrderDescription, describe_order


async def query_order(database: Database, order_id: str) -> OrderDescription:
    """Return what became of the order. Raises OrderNotFound."""

    async def work(connection: AsyncConnection) -> OrderDescription | None:
        return await describe_order(connection, order_id)

    order = await database.read(work)
    if order is None:
        raise OrderNotFound(f"There is no order {order_id!r}.", field="orderId")
    return order
