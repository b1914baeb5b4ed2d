"""The query of an order, which reads the database without the journal's writer."""

from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..errors import OrderNotFound
from .order_rows import OrderDescription, describe_order


async def query_order(database: Database, order_id: str) -> OrderDescription:
    """Return the order as recorded. Raises OrderNotFound."""

    async def work(connection: AsyncConnection) -> OrderDescription | None:
        return await describe_order(connection, order_id)

    order = await database.read(work)
    if order is None:
        raise OrderNotFound(f"There is no order {order_id!r}.", field="orderId")
    return order
