"""Random contents of requests: the fields of an operation, valid ones and broken ones."""

import json
import random
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote_plus

from myaccount.controller.bulk_orders import BULK, ORDER_OPERATIONS, ORDERS_LIMIT
from myaccount.controller.operation import REQUIRED, Operation

from .fuzz_values import BROKEN_JSON, Value, Values, bare, text

BROKEN_SHARE: Final = 0.2
AGAIN_SHARE: Final = 0.08
OPTIONAL_SHARE: Final = 0.3
# How many orders a bulk has, and how often.
BULK_SIZES: Final = {1: 30, 2: 30, 4: 30, 0: 1, 30: 1, 300: 0.1, ORDERS_LIMIT + 1: 0.05}
MANY_FIELDS: Final = 300
# Of each operation, the newest contents, which are sent again.
REMEMBERED: Final = 20

Fields = tuple[tuple[str, Value], ...]


class SentOrder(NamedTuple):
    """An order that a request makes: its type, its id, and whether it names a payee."""

    kind: str
    order_id: str
    has_payee: bool


class Content(NamedTuple):
    """What is sent to an operation, and the orders that come of it if it is valid."""

    operation: Operation[Any]
    fields: Fields
    orders: Sequence[SentOrder] = ()

    def form(self) -> str:
        return "&".join(
            [f"{quote_plus(name, errors='surrogatepass')}={value.form}" for name, value in self.fields]
        )

    def json(self) -> str:
        members = ", ".join([f"{json.dumps(name)}: {value.json}" for name, value in self.fields])
        return f"{{{members}}}"


class Contents:
    """Makes contents from the definitions of the operations alone, most of them with nothing wrong."""

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._values = Values(source)
        # By the path.
        self._sent: defaultdict[str, deque[Content]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def of(self, operation: Operation[Any]) -> Content:
        """Return a new content or, now and then, one that was sent before, or another one with its id."""
        sent = self._sent[operation.path]
        content = self._bulk() if operation is BULK else _content(operation, self._valid(operation))
        if sent and self._is(AGAIN_SHARE):
            earlier = self._random.choice(sent)
            return earlier if self._is(0.5) else _content(operation, _with_ids(content.fields, earlier.fields))
        if self._is(BROKEN_SHARE):
            fields = self._broken(operation, content.fields)
            content = content._replace(fields=fields) if operation is BULK else _content(operation, fields)
        sent.append(content)
        return content

    def _valid(self, operation: Operation[Any]) -> Fields:
        left_out = {self._random.choice(pair) for pair in operation.either}
        return tuple(
            (name, self._values.valid(operation.path, name, field))
            for name, field in operation.fields.items()
            if name not in left_out and (field.default is REQUIRED or self._is(OPTIONAL_SHARE))
        )

    def _broken(self, operation: Operation[Any], fields: Fields) -> Fields:
        """Return the fields with one fault, or with none by chance."""
        pick, names = self._random.choice, [name for name, _ in fields]
        if not fields:
            return ((pick(list(operation.fields)), self._values.broken()),)
        place = self._random.randrange(len(fields))
        name, value = fields[place]
        before, after = fields[:place], fields[place + 1 :]
        match self._random.randrange(9):
            case 0:
                return before + after
            case 1:
                return (*fields, (name, pick((value, self._values.broken()))))
            case 2:
                return (*fields, (pick((self._values.broken().text, "", "madeBy", "balance")), value))
            case 3:
                return (*before, (pick((name.upper(), f"{name}[]", f" {name}", f"{name}\x00")), value), *after)
            case 4:
                others = {other: field for other, field in operation.fields.items() if other not in names}
                return (*fields, *[(other, text(field.example)) for other, field in others.items()])
            case 5 if self._is(0.1):
                return tuple((f"{name}{number}", value) for number in range(MANY_FIELDS))
        return (*before, (name, self._values.broken()), *after)

    def _bulk(self) -> Content:
        """Return a bulk of orders, some of which were sent before, alone or in another one."""
        (size,) = self._random.choices(list(BULK_SIZES), list(BULK_SIZES.values()))
        contents = [self.of(kind) for kind in self._random.choices(list(ORDER_OPERATIONS.values()), k=size)]
        items = [self._item(content) for content in contents]
        if self._is(0.05):
            items.insert(self._random.randrange(size + 1), self._random.choice(BROKEN_JSON).json)
        orders = bare(f"[{', '.join(items)}]")
        fields = tuple((name, orders if name == "orders" else value) for name, value in self._valid(BULK))
        return Content(BULK, fields, [order for content in contents for order in content.orders])

    def _item(self, content: Content) -> str:
        """Return an order as a bulk has it, with its type first or last."""
        kind = text(content.operation.path.removeprefix("/"))
        if self._is(0.01):
            kind = self._random.choice((text("bulk"), self._values.broken()))
        fields = (("type", kind), *content.fields) if self._is(0.5) else (*content.fields, ("type", kind))
        return content._replace(fields=fields).json()

    def _is(self, share: float) -> bool:
        return self._random.random() < share


def _content(operation: Operation[Any], fields: Fields) -> Content:
    kind, sent = operation.path.removeprefix("/"), dict(fields)
    if kind not in ORDER_OPERATIONS or "orderId" not in sent:
        return Content(operation, fields)
    order = SentOrder(kind, sent["orderId"].text, "touserId" in sent or "toaccountId" in sent)
    return Content(operation, fields, (order,))


def _with_ids(fields: Fields, earlier: Fields) -> Fields:
    """Return the fields with the id of an order or a bulk that was sent before."""
    ids = {name: value for name, value in earlier if name in ("orderId", "bulkId")}
    return tuple((name, ids.get(name, value)) for name, value in fields)
