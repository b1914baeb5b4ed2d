"""Whether the replies to random requests, and the orders that came of them, are as the contract says.

Who may make an order is written from access.md, and not taken from the service.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.model.ledger import account, order
from myaccount.problems import STATUS_BY_CODE

from .fuzz_client import NONE, Reply
from .fuzz_contents import SentOrder
from .fuzz_requests import OWN_ID, Request

# By the type of an order: the scopes of which its maker needs one. Where its money goes decides between two.
MAKERS: Final = {
    "recharge": {"money:in"},
    "transfer": {"money:move"},
    "withdraw": {"money:out"},
    "refund": {"money:in", "money:move"},
    "hold": {"money:move", "money:out"},
    "capture": {"money:move", "money:out"},
    "release": {"money:move"},
    "extend": {"money:move"},
}
# These answer everybody, as does all below /static/.
OPEN: Final = ("/healthz", "/readyz", "/opeacclistentest", "/favicon.ico", "/signin")
# Of a target, which may name a host.
_PATH: Final = re.compile("(?:http://[^/?#]*)?([^?#]*)")
_OWN_ID: Final = re.compile(rb"\r\nX-Request-ID: %s(\d+)\r\n" % OWN_ID)
SAFE: Final = ("GET", "HEAD", "OPTIONS")
# After so many, all others have the same cause.
SHOWN: Final = 10


class Checker:
    """Checks replies as they come. `faults` has what is wrong, `codes` how often each code came."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.codes = Counter[str]()
        # The scopes of the callers who were told that an order is posted, by its id.
        self.posted: defaultdict[str, set[frozenset[str]]] = defaultdict(set)

    def check(self, request: Request, reply: Reply) -> None:
        try:
            fault = self._fault(request, reply)
        except (ValueError, LookupError, TypeError, AssertionError) as error:
            fault = f"the reply is not as the contract says: {error!r}"
        if fault and len(self.faults) < SHOWN:
            self.faults.append(
                f"{fault}\nrequest {request.number} of {request.caller.name}: {request.data[:3000]!r}\n"
                f"reply: {reply.head!r} {reply.body[:1000]!r}"
            )

    def _fault(self, request: Request, reply: Reply) -> str:
        """Return what is wrong, or nothing."""
        if reply.status >= 500 and reply.status != 503:
            return "the service failed"
        if reply is NONE:
            return "there was no reply, or one 503 after another"
        if request.ending:
            # Nobody knows as what the service reads it.
            return ""
        own_id = _OWN_ID.search(reply.head)
        if own_id and int(own_id[1]) != request.number:
            return "the reply is that of another request"
        if reply.status >= 400 and request.method != "HEAD":
            return self._fault_of_problem(request, reply)
        if reply.status >= 300:
            return ""
        if not request.caller.scopes and not _is_open(request.target):
            return "a caller that is not known was answered"
        if request.from_other_site and request.method not in SAFE:
            return "another site had its way"
        return self._fault_of_orders(request, reply) if request.orders else ""

    def _fault_of_problem(self, request: Request, reply: Reply) -> str:
        if b"\r\nContent-Type: text/html" in reply.head and b"text/html" in request.data:
            return ""
        if reply.status == 503 and b'"ready": false' in reply.body:
            # On a busy machine, for a moment.
            return ""
        problem = json.loads(reply.body)
        self.codes[problem["code"]] += 1
        if STATUS_BY_CODE[problem["code"]] != reply.status or problem["status"] != reply.status:
            return "the status is not that of the code"
        if reply.status == 503 and b"\r\nRetry-After: 1\r\n" not in reply.head:
            return "the reply does not say when to try again"
        return ""

    def _fault_of_orders(self, request: Request, reply: Reply) -> str:
        scopes = request.caller.scopes
        for sent in _posted(request.orders, json.loads(reply.body)):
            self.posted[sent.order_id].add(scopes)
            if scopes.isdisjoint(_makers(sent)):
                return f"the caller may not make the order {sent}"
        return ""

    def faults_of_rows(
        self, rows: Iterable[Any], outside: Collection[int], scopes_by_maker: Mapping[str | None, frozenset[str]]
    ) -> list[str]:
        """Return what is wrong with the orders' rows; `outside` has the accounts of the outside world."""
        faults, posted = [], set()
        for row in rows:
            wanted = _scope(row, outside)
            told = self.posted.get(row.order_id, set())
            if wanted not in scopes_by_maker.get(row.made_by, ()):
                faults.append(f"{row} was made by a caller who lacks {wanted}")
            if any(wanted not in scopes for scopes in told):
                faults.append(f"{row} was posted for a caller who lacks {wanted}")
            if row.status == "posted":
                posted.add(row.order_id)
        return faults + [f"{order_id!r} is not there" for order_id in self.posted.keys() - posted]


async def read_orders(connection: AsyncConnection) -> tuple[Sequence[Any], set[int]]:
    """Return the orders' rows, and the ids of the outside world's accounts."""
    outside = await connection.execute(select(account.c.id).where(account.c.user_id.is_(None)))
    columns = (order.c.order_id, order.c.order_type, order.c.from_account, order.c.to_account, order.c.status,
               order.c.made_by)  # fmt: skip
    return (await connection.execute(select(*columns))).all(), set(outside.scalars())


def _is_open(target: str) -> bool:
    found = _PATH.match(target)
    path = unquote(found[1]) if found else ""
    return path in OPEN or path.startswith("/static/")


def _posted(orders: Sequence[SentOrder], body: Mapping[str, Any]) -> list[SentOrder]:
    """Return the orders that are posted by the reply."""
    if "ORDERS" not in body:
        return [sent for sent in orders if body["result"] == 1]
    answers = body["ORDERS"]
    assert [answer["ORDER_ID"] for answer in answers] == [sent.order_id for sent in orders]
    return [sent for sent, answer in zip(orders, answers, strict=True) if answer["RESULT"] == 1]


def _makers(sent: SentOrder) -> Collection[str]:
    if sent.kind == "hold":
        return ("money:move",) if sent.has_payee else ("money:out",)
    return MAKERS[sent.kind]


def _scope(row: Any, outside: Collection[int]) -> str:
    """Return the scope that an order's row needs."""
    match row.order_type:
        case "01":
            return "money:in"
        case "04":
            # The payee of the original pays it. The outside pays back what was withdrawn.
            return "money:in" if row.from_account in outside else "money:move"
        case "03" | "05" | "06":
            return "money:out" if row.to_account in outside else "money:move"
    return "money:move"
