"""What the clients of the money bank sent, and what they were answered."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

ORDER_TYPES: Final = {
    "recharge": "01",
    "transfer": "02",
    "withdraw": "03",
    "refund": "04",
    "hold": "05",
    "capture": "06",
    "release": "07",
    "extend": "08",
}
# Codes of orders that are recorded as declined.
DECLINES: Final = frozenset(
    {
        "insufficient_funds",
        "account_frozen",
        "account_closed",
        "hold_expired",
        "hold_ended",
        "capture_exceeds_hold",
        "refund_exceeds_order",
        "bulk_declined",
    }
)
# Codes of orders that are not recorded.
REFUSALS: Final = frozenset(
    {
        "user_not_found",
        "account_not_found",
        "order_not_found",
        "same_account",
        "currency_mismatch",
        "not_refundable",
        "not_a_hold",
        "invalid_request",
    }
)
# Codes of orders whose outcome is not known yet.
UNKNOWN: Final = frozenset({"overloaded", "unavailable"})


class Reply(NamedTuple):
    status: int
    body: dict[str, Any]
    replayed: bool

    @property
    def is_certain(self) -> bool:
        """Whether the outcome of all that was sent is known."""
        orders = self.body.get("ORDERS", [])
        return self.status != 503 and not any(order["CODE"] in UNKNOWN for order in orders)

    @property
    def code(self) -> str:
        return "posted" if self.status == 200 else str(self.body.get("code"))


@dataclass
class Sent:
    """An order, and its outcomes as answered: `posted`, the code of a decline, or `refused`.

    Payer and payee are account ids; they are empty if the order is about another one, `target`, which has them.
    `began` and `ended` are moments of the bank's clock: no reply came before the first, one by the second.
    """

    kind: str
    order_id: str
    # As sent, beside the order id.
    fields: dict[str, str]
    currency: str
    payer: str = ""
    payee: str = ""
    # In the smallest unit of the currency; None if not sent.
    amount: int | None = None
    target: str | None = None
    # Of a hold or an extension: how long it lasts.
    seconds: int = 0
    outcomes: set[str] = field(default_factory=set)
    # The codes of all replies, for the report of what is wrong.
    codes: list[str] = field(default_factory=list)
    began: int = 0
    ended: int = 0

    @property
    def path(self) -> str:
        return f"/{self.kind}"

    @property
    def content(self) -> dict[str, Any]:
        return {"data": {"orderId": self.order_id, **self.fields}}

    @property
    def orders(self) -> list["Sent"]:
        return [self]

    @property
    def outcome(self) -> str | None:
        """The outcome, if it is known and the only one."""
        return next(iter(self.outcomes)) if len(self.outcomes) == 1 else None

    def learn(self, reply: Reply) -> None:
        """Note the outcome that the reply tells."""
        self.codes.append(reply.code)
        self.outcomes.add(outcome(reply.code))


@dataclass
class SentBulk:
    """A bulk with its orders."""

    bulk_id: str
    atomic: bool
    orders: list[Sent]
    path: str = "/bulk"

    @property
    def content(self) -> dict[str, Any]:
        orders = [{"type": sent.kind, "orderId": sent.order_id, **sent.fields} for sent in self.orders]
        return {"json": {"bulkId": self.bulk_id, "atomic": self.atomic, "orders": orders}}

    def learn(self, reply: Reply) -> None:
        if reply.status == 200:
            self._learn_each(reply.body)
            return
        told = outcome(reply.code)
        for place, sent in enumerate(self.orders):
            sent.codes.append(reply.code)
            is_other = told in DECLINES and place != reply.body["failed"]
            sent.outcomes.add("bulk_declined" if is_other else told)

    def _learn_each(self, body: dict[str, Any]) -> None:
        found = body["ORDERS"]
        codes = [order["CODE"] or "posted" for order in found]
        is_told = [order["ORDER_ID"] for order in found] == [sent.order_id for sent in self.orders]
        is_consistent = body["result"] == int(set(codes) == {"posted"}) and (body["result"] or not self.atomic)
        for sent, code in zip(self.orders, codes, strict=True):
            sent.codes.append(code)
            sent.outcomes.add(outcome(code) if is_told and is_consistent else f"unexpected: {body}")


class Setting(NamedTuple):
    """A setting of an account that was acknowledged between two moments of the bank's clock.

    `name` and `value` are as in the account's log: frozen, status or floor.
    """

    account_id: str
    name: str
    value: str
    began: int
    ended: int


@dataclass
class History:
    """All that was sent, and the accounts that were opened; one account's settings are in their order."""

    sent: list[Sent | SentBulk] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)

    @property
    def orders(self) -> Iterator[Sent]:
        """Each order, alone or in a bulk."""
        return (order for sent in self.sent for order in sent.orders)

    @property
    def bulks(self) -> Iterator[SentBulk]:
        return (sent for sent in self.sent if isinstance(sent, SentBulk))


def outcome(code: str) -> str:
    """Return what an order's code says of its row in the journal."""
    if code == "posted" or code in DECLINES:
        return code
    return "refused" if code in REFUSALS else f"unexpected: {code}"
