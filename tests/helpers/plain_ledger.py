"""A slow, plain model of the wire contract's rules of money: one order at a time, as its sentences say.

It was written from the contract, without the rules' structure, so that the two can be compared.
"""

from copy import deepcopy
from dataclasses import fields
from typing import NamedTuple

from myaccount.ledger.account_commands import AddAccount, Close, Freeze, Limit, OpenAccount, Opening
from myaccount.ledger.commands import AtomicBulk, Command, NameBulk
from myaccount.ledger.money import Amount
from myaccount.ledger.order_commands import Hold, OrderCommand

from .plain_books import NOTHING, PlainBooks, PlainHold, PlainOrder, Refused, checked, value
from .plain_orders import carry_out, check_scope, movement, reasons_against
from .random_commands import TEAMS

Content = tuple[object, ...]
# Fields of a command that say nothing of what is wanted.
NO_CONTENT = ("order_id", "bulk_id", "maker", "sent_at")


class Answer(NamedTuple):
    """What became of a command: `code` is None if it was done."""

    code: str | None = None
    replayed: bool = False
    parts: "tuple[Answer, ...]" = ()
    failed: int | None = None


class PlainLedger(PlainBooks):
    """The books, and what clients do to them."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.bulks: dict[str, tuple[Content, Answer]] = {}
        # What opened each user, and what each account.
        self.users: dict[str, Content] = {}
        self.openings: dict[str, Content] = {}

    def send(self, command: Command, told: str | None) -> Answer:
        """Carry out the command. If several reasons decline an order, the one that was `told` is taken."""
        try:
            match command:
                case AtomicBulk() | NameBulk():
                    return self._bulk(command, told)
                case OpenAccount() | AddAccount():
                    return self._open(command)
                case Freeze() | Close() | Limit():
                    self._change(command)
                    return Answer()
                case _:
                    return self._order(command, told)
        except Refused as refused:
            place = refused.args[1] if len(refused.args) > 1 else None
            return Answer(refused.args[0], failed=place)

    def _open(self, command: Opening) -> Answer:
        sent, user_id, account_id = content(command), command.user_id, command.account_id
        is_first = isinstance(command, OpenAccount)
        if not is_first and user_id not in self.users:
            raise Refused("user_not_found")
        if is_first and user_id in self.users:
            return Answer("user_exists", replayed=self.users[user_id] == sent)
        if account_id in self.openings:
            return Answer("account_exists", replayed=self.openings[account_id] == sent)
        if command.team_id not in (None, *TEAMS):
            raise Refused("team_not_found")
        self.openings[account_id] = sent
        self.users.setdefault(user_id, sent)
        self.open(account_id, user_id, command.currency)
        return Answer()

    def _order(self, command: OrderCommand, told: str | None) -> Answer:
        check_scope(command, self)
        if (earlier := self.orders.get(command.order_id)) is not None:
            if content(earlier.command) != content(command):
                raise Refused("order_mismatch")
            return Answer(earlier.reason, replayed=True)
        moved = movement(command, self)
        reasons = reasons_against(command, moved, self)
        reason = None if not reasons else told if told in reasons else min(reasons)
        order = self.orders[command.order_id] = PlainOrder(command, *moved)
        if reason is None:
            carry_out(command, moved, self)
        else:
            self.decline(order, reason)
        return Answer(reason)

    def _bulk(self, bulk: AtomicBulk | NameBulk, told: str | None) -> Answer:
        atomic = isinstance(bulk, AtomicBulk)
        for place, order in enumerate(bulk.orders if atomic else ()):
            try:
                check_scope(order, self)
            except Refused as refused:
                raise Refused(*refused.args, place) from None
        sent = (atomic, *((order.order_id, content(order)) for order in bulk.orders))
        if bulk.bulk_id in self.bulks:
            earlier, answer = self.bulks[bulk.bulk_id]
            if earlier != sent:
                raise Refused("order_mismatch")
            parts = tuple(part._replace(replayed=True) for part in answer.parts)
            return answer._replace(replayed=True, parts=parts)
        answer = self._all_or_none(bulk.orders, told) if atomic else Answer()
        self.bulks[bulk.bulk_id] = (sent, answer)
        return answer

    def _all_or_none(self, orders: tuple[OrderCommand, ...], told: str | None) -> Answer:
        for place, order in enumerate(orders):
            # Whatever became of it alone, it is no part of "all or none".
            if order.order_id in self.orders:
                raise Refused("order_mismatch", place)
        trial = deepcopy(self)
        answer = trial._one_by_one(orders, told)
        if answer.code is not None:
            trial = deepcopy(self)
            answer = trial._all_declined(orders, answer)
        vars(self).update(vars(trial))
        return answer

    def _one_by_one(self, orders: tuple[OrderCommand, ...], told: str | None) -> Answer:
        """Carry them out up to the first that is declined."""
        parts: list[Answer] = []
        for place, order in enumerate(orders):
            try:
                parts.append(self._order(order, told))
            except Refused as refused:
                raise Refused(*refused.args, place) from None
            if parts[-1].code is not None:
                return Answer(parts[-1].code, failed=place)
        return Answer(parts=tuple(parts))

    def _all_declined(self, orders: tuple[OrderCommand, ...], first: Answer) -> Answer:
        """Record all as declined, unless one would be refused even if all those before it were done."""
        for place, order in enumerate(orders):
            try:
                check_scope(order, self)
                moved = movement(order, self)
            except Refused as refused:
                raise Refused(*refused.args, place) from None
            self.orders[order.order_id] = PlainOrder(order, *moved)
            if isinstance(order, Hold):
                self.holds[order.order_id] = PlainHold(moved[0], NOTHING, self.now)
        parts = []
        for place, order in enumerate(orders):
            code = first.code if place == first.failed else "bulk_declined"
            self.holds.pop(order.order_id, None)
            self.decline(self.orders[order.order_id], code)
            parts.append(Answer(code))
        return first._replace(parts=tuple(parts))

    def _change(self, command: Freeze | Close | Limit) -> None:
        account = self.named(command.account, None)
        match command:
            case Freeze():
                if account.frozen == command.frozen:
                    return
                if account.closed:
                    raise Refused("account_closed")
                account.frozen = command.frozen
                account.log.append((f"frozen {command.frozen}", command.reason))
            case Close():
                if account.closed:
                    return
                if account.balance or self.held(account):
                    raise Refused("account_in_use")
                account.closed = True
                account.log.append(("status closed", command.reason))
            case Limit():
                floor = NOTHING if command.credit is None else -checked(command.credit, account.currency)
                if account.floor == floor:
                    return
                if account.closed:
                    raise Refused("account_closed")
                if account.balance - self.held(account) < floor:
                    raise Refused("limit_in_use")
                account.floor = floor
                account.log.append((f"floor {floor.normalize():f}", command.reason))


def content(command: OrderCommand | Opening) -> Content:
    """Return what makes it the same: its route, and each field as it was sent. 1 and 1.00 are one amount."""
    sent = {f.name: getattr(command, f.name) for f in fields(command) if f.name not in NO_CONTENT}
    values = (value(one) if isinstance(one, Amount) else one for one in sent.values())
    return (type(command), *zip(sent, values, strict=True))
