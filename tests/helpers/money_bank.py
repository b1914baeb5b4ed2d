"""Clients that use the whole life of money at once, over several processes.

They send random orders of every kind, alone and in bulks, while accounts are frozen and holds expire. One request
in ten is sent to two processes at once. Every reply is recorded, and money_checker compares them with the tables.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import aiohttp

from .money_accounts import CLOSED, COLD, HOT, TWINS, Account, amount_text
from .money_forms import LONG_SECONDS, SHORT_SECONDS
from .money_history import History, Reply, Sent, SentBulk, Setting
from .money_orders import RandomOrders

START: Final = 2000
TWICE: Final = 0.1
BULKS: Final = 0.12
# The accounts that are frozen now and then.
FROZEN: Final = (HOT[0], HOT[4])
PAUSE_SECONDS: Final = 0.1
CREDITOR: Final = HOT[3]
CREDIT: Final = 500


class MoneyBank:
    """`addresses` are those of the processes. The first one is never killed."""

    def __init__(self, session: aiohttp.ClientSession, addresses: Sequence[str], seed: int) -> None:
        self._session = session
        self._addresses = list(addresses)
        self._random = random.Random(seed)
        self._orders = RandomOrders(self._random)
        self._clock = itertools.count(1)
        self.history = History()
        # The codes of all replies.
        self.codes = Counter[str | None]()
        # What was wrong with a reply by itself.
        self.wrong: list[str] = []

    async def open(self) -> None:
        """Open the accounts, and give each the money to start with."""
        accounts = [*HOT, *COLD, *TWINS, CLOSED]
        for account in accounts:
            await self._open(account, self._addresses[0])
        starts = [self._orders.recharge(f"start-{a.account_id}", a, START) for a in accounts[:-1]]
        await asyncio.gather(*map(self._send, starts))
        await self._set(CLOSED, "status", "closed")
        await self._set(CREDITOR, "floor", str(-CREDIT))
        hold = self._orders.hold("start-hold", HOT[0], 1)
        hold.seconds, hold.fields["expiresIn"] = LONG_SECONDS, str(LONG_SECONDS)
        await self._send(hold)
        # On a slow machine most holds expire before a client happens to capture too much of one.
        await self._send(self._orders.about(hold, "capture", "start-capture", amount=2))

    async def run(self, clients: int, steps: int) -> None:
        stop = asyncio.Event()
        freezing = asyncio.gather(*[self._freeze(account, stop) for account in FROZEN])
        await asyncio.gather(*[self._client(number, steps) for number in range(clients)])
        stop.set()
        await freezing
        await self._capture_late()

    async def replay(self, clients: int) -> None:
        """Send all that was recorded again, the orders of bulks alone as well: the first outcome comes again."""
        again = iter([sent for sent in self.history.orders if sent.outcome != "refused"])

        async def client() -> None:
            for sent in again:
                reply = await self._certain_reply(sent.path, sent.content, self._addresses[0])
                if not reply.replayed:
                    self.wrong.append(f"{sent.order_id} was sent again, and not answered as a replay")
                sent.learn(reply)

        await asyncio.gather(*[client() for _ in range(clients)])
        for bulk in self.history.bulks:
            bulk.learn(await self._certain_reply(bulk.path, bulk.content, self._addresses[0]))

    async def _client(self, number: int, steps: int) -> None:
        for step in range(steps):
            if self._random.random() < BULKS:
                await self._send(self._orders.bulk(f"b{number}-{step}"))
            else:
                await self._send(self._orders.order(f"o{number}-{step}"))
            if step % 10 == 1:
                await self._open_another(f"new{number}-{step}")
            if step % 10 == 0:
                await self._send_other_content()
                await asyncio.gather(*map(self._read, ("twin", HOT[0].user, self._random.choice(COLD).user)))

    async def _send(self, sent: Sent | SentBulk) -> None:
        """Send it until its outcome is known, now and then to two processes at once."""
        self._begin(sent)
        times = 2 if self._random.random() < TWICE else 1
        chosen = self._random.sample(self._addresses, times)
        await asyncio.gather(*[self._send_to(sent, address) for address in chosen])
        for order in sent.orders:
            self._orders.learn(order)

    def _begin(self, sent: Sent | SentBulk) -> None:
        self.history.sent.append(sent)
        began = next(self._clock)
        for order in sent.orders:
            order.began = began

    async def _send_to(self, sent: Sent | SentBulk, address: str) -> None:
        sent.learn(await self._certain_reply(sent.path, sent.content, address))
        ended = next(self._clock)
        for order in sent.orders:
            order.ended = order.ended or ended

    async def _send_other_content(self) -> None:
        """Send another order with an id that is used, if the chosen one is."""
        sent = self._random.choice(self._random.choice(self.history.sent).orders)
        if sent.outcome in (None, "refused"):
            return
        other = replace(sent, fields=sent.fields | {"note": "another"})
        reply = await self._certain_reply(other.path, other.content, self._random.choice(self._addresses))
        if (reply.status, reply.code) != (422, "order_mismatch"):
            self.wrong.append(f"{sent.order_id} was sent with other content, and answered {reply}")

    async def _capture_late(self) -> None:
        """Capture holds that have expired, swept or not."""
        await asyncio.sleep(SHORT_SECONDS)
        short = [hold for hold in self._orders.holds if hold.seconds == SHORT_SECONDS][-20:]
        await asyncio.gather(*[self._send(self._orders.capture(f"late-{hold.order_id}", hold)) for hold in short])

    async def _freeze(self, account: Account, stop: asyncio.Event) -> None:
        """Freeze the account again and again; meanwhile send orders that want it, besides those of the clients."""
        for number, frozen in enumerate(itertools.cycle(("debits", "credits", "all"))):
            before = self._orders.before_freeze(f"f{number}-{account.account_id}", account)
            await asyncio.gather(*map(self._send, before))
            await self._set(account, "frozen", frozen)
            await asyncio.gather(*map(self._send, self._orders.under_freeze(account, *before)))
            await self._set(account, "frozen", "none")
            if stop.is_set():
                return
            await asyncio.sleep(PAUSE_SECONDS)

    async def _set(self, account: Account, name: str, value: str) -> None:
        path, fields = {
            "frozen": ("/freeze", {"frozen": value}),
            "status": ("/close", {}),
            "floor": ("/limit", {"floor": "-" + amount_text(CREDIT, account.currency)}),
        }[name]
        content = {"data": {"accountId": account.account_id, "reason": "to see what comes of it", **fields}}
        began = next(self._clock)
        reply = await self._certain_reply(path, content, self._random.choice(self._addresses))
        if reply.status != 200:
            self.wrong.append(f"{path} of {account.account_id} was answered {reply}")
        self.history.settings.append(Setting(account.account_id, name, value, began, next(self._clock)))

    async def _open_another(self, user: str) -> None:
        """Open an account, with an order that is sent at once, and another one after the reply."""
        account = Account(f"CNY-{user}", user, "CNY")
        at_once, after = (self._orders.recharge(f"{user}-{when}", account, 1) for when in ("at-once", "after"))
        address = self._random.choice(self._addresses)
        self._begin(at_once)
        await asyncio.gather(self._open(account, address), self._send_to(at_once, address))
        await self._send(after)
        if after.outcome != "posted":
            self.wrong.append(f"{account.account_id} was opened, and then an order was {after.outcomes}")

    async def _open(self, account: Account, address: str) -> None:
        fields = {"userId": account.user, "accountId": account.account_id, "accountType": "01"}
        fields["currency"] = account.currency
        path = "/addaccount"
        if account.is_first:
            path = "/openacc"
            fields |= {"userName": "N", "sex": "F", "cardNum": "1"}
        reply = await self._certain_reply(path, {"data": fields}, address)
        # After a reply that was lost, it is a replay.
        if reply.status != 200 and not reply.replayed:
            self.wrong.append(f"the opening of {account.account_id} was answered {reply}")
        self.history.opened.append(account.account_id)

    async def _read(self, user: str) -> None:
        reply = await self._certain_reply("/queryacc", {"data": {"userId": user}}, self._addresses[0])
        accounts = reply.body["result"][0]["ACCOUNTS"]
        self.wrong += [f"the account {account} was read" for account in accounts if not _is_possible(account)]
        if user == "twin" and sum(_units(account["BALANCE"]) for account in accounts) != 2 * START:
            self.wrong.append(f"a part of an atomic bulk was read: {accounts}")

    async def _certain_reply(self, path: str, content: dict[str, Any], address: str) -> Reply:
        """Return the first reply that tells the outcome; after one that does not, another process is asked."""
        while True:
            try:
                async with self._session.post(address + path, **content) as response:
                    replayed = response.headers.get("Idempotent-Replayed") == "true"
                    reply = Reply(response.status, await response.json(content_type=None), replayed)
            except (aiohttp.ClientError, TimeoutError):
                reply = None
            if reply is not None and reply.is_certain:
                self.codes.update([reply.code, *(order["CODE"] for order in reply.body.get("ORDERS", []))])
                return reply
            await asyncio.sleep(0.02)
            address = self._random.choice(self._addresses)


def _is_possible(account: dict[str, Any]) -> bool:
    """Whether a reply's account adds up, and has no more held than is there."""
    balance, held, available, floor = (_units(account[k]) for k in ("BALANCE", "HELD", "AVAILABLE", "FLOOR"))
    return held >= 0 and available >= 0 and available == balance - held - floor


def _units(text: str) -> int:
    return int(text.replace(".", ""))
