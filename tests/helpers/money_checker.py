"""Compares what the clients of the money bank were answered with the tables.

It has the wire contract's rules in its own words, and shares no code with the service's.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from .money_freezes import check_closings, check_freezes
from .money_history import ORDER_TYPES, History, Sent
from .money_replay import check_replay
from .money_tables import HOLD_ENDS, EntryRow, OrderRow, Tables

MOVING = frozenset(ORDER_TYPES[kind] for kind in ("recharge", "transfer", "withdraw", "refund", "capture"))


def check_money(history: History, tables: Tables) -> list[str]:
    """Return what is wrong, in sentences; nothing if the tables say what the clients were told, and add up."""
    return [
        *_check_accounts(history, tables),
        *_check_orders(history, tables),
        *_check_bulks(history, tables),
        *_check_settings(history, tables),
        *_check_entries(tables),
        *_check_balances(history, tables),
        *_check_told(tables),
        *check_replay(history, tables),
        *check_freezes(history, tables),
        *check_closings(history, tables),
    ]


def _check_accounts(history: History, tables: Tables) -> Iterator[str]:
    """Each account is there once, and was opened."""
    times = Counter(row.account_id for row in tables.accounts if row.floor is not None)
    for account_id in history.opened:
        found = times.pop(account_id, 0)
        if found != 1:
            yield f"The account {account_id} is there {found} times"
    yield from (f"The account {account_id} was never opened" for account_id in times)


def _check_orders(history: History, tables: Tables) -> Iterator[str]:
    """Each order is there once, as sent, with the outcome that was answered."""
    times = Counter(row.order_id for row in tables.orders)
    by_id = {row.order_id: row for row in tables.orders}
    bulk_ids = {sent.order_id: bulk.bulk_id for bulk in history.bulks for sent in bulk.orders}
    for sent in history.orders:
        if sent.outcome is None or sent.outcome.startswith("unexpected"):
            yield f"{sent.order_id} has the outcomes {sorted(sent.outcomes)}, by the replies {sent.codes}"
            continue
        found = times.pop(sent.order_id, 0)
        if found != (sent.outcome != "refused"):
            yield f"{sent.order_id} was answered {sent.outcome}, and is there {found} times"
        elif found:
            expected = _expected(sent, bulk_ids.get(sent.order_id), by_id)
            row = by_id[sent.order_id]
            for name, value in expected.items():
                if getattr(row, name) != value:
                    yield f"{sent.order_id} has {name} {getattr(row, name)}, and should have {value}"
    yield from (f"{order_id} was never sent" for order_id in times)


def _expected(sent: Sent, bulk_id: str | None, by_id: dict[str, OrderRow]) -> dict[str, object]:
    """Return what the row of a recorded order has."""
    payer, payee = sent.payer, sent.payee
    if sent.target is not None and sent.target in by_id:
        target = by_id[sent.target]
        payer, payee = (target.payee, target.payer) if sent.kind == "refund" else (target.payer, target.payee)
    amount = {} if sent.amount is None else {"amount": sent.amount}
    return amount | {
        "order_type": ORDER_TYPES[sent.kind],
        "payer": payer,
        "payee": payee,
        "status": "posted" if sent.outcome == "posted" else "declined",
        "reason": None if sent.outcome == "posted" else sent.outcome,
        "target": sent.target,
        "bulk_id": bulk_id,
        "note": sent.fields.get("note"),
        "reference": sent.fields.get("reference"),
    }


def _check_bulks(history: History, tables: Tables) -> Iterator[str]:
    """Each atomic bulk is there as a whole or not at all."""
    reasons = defaultdict(list)
    for row in tables.orders:
        if row.bulk_id is not None:
            reasons[row.bulk_id].append(row.reason)
    times = Counter(tables.bulk_ids)
    for bulk in history.bulks:
        found = reasons.pop(bulk.bulk_id, [])
        is_recorded = not bulk.atomic or any(sent.outcome != "refused" for sent in bulk.orders)
        if times.pop(bulk.bulk_id, 0) != is_recorded:
            yield f"The bulk {bulk.bulk_id} is there {tables.bulk_ids.count(bulk.bulk_id)} times"
        if bulk.atomic and found:
            own = [reason for reason in found if reason != "bulk_declined"]
            is_whole = not any(found) or (len(own) == 1 and own[0] is not None)
            if len(found) != len(bulk.orders) or not is_whole:
                yield f"The atomic bulk {bulk.bulk_id} is there in part: {found}"
    yield from (f"The bulk {bulk_id} was never sent" for bulk_id in {*reasons, *times})


def _check_settings(history: History, tables: Tables) -> Iterator[str]:
    """Each change of an account is in its log once, and the last one is in force."""
    sent = defaultdict(list)
    for setting in history.settings:
        sent[setting.account_id, setting.name].append(setting.value)
    logged = defaultdict(list)
    for change in tables.changes:
        logged[change.account_id, change.setting].append(change.value)
    for account_id, name in sorted({*sent, *logged}):
        if sent[account_id, name] != logged[account_id, name]:
            yield f"{account_id} was set to {name} {sent[account_id, name]}, logged {logged[account_id, name]}"
    for row in tables.accounts:
        for name, default in (("frozen", "none"), ("status", "open"), ("floor", "0")):
            last = sent.get((row.account_id, name), [default])[-1]
            if str(getattr(row, name)) != last and row.floor is not None:
                yield f"{row.account_id} has {name} {getattr(row, name)}, and should have {last}"


def _check_entries(tables: Tables) -> Iterator[str]:
    """Each order that moved money has its two entries; those of an account are a chain without a gap."""
    expected = Counter[tuple[str, str, int]]()
    for row in tables.orders:
        if row.order_type in MOVING and row.status == "posted":
            expected[row.order_id, row.payer, -row.amount] += 1
            expected[row.order_id, row.payee, row.amount] += 1
    found = Counter((entry.order_id, entry.account_id, entry.amount) for entry in tables.entries)
    yield from (f"An entry is missing: {key}" for key in expected - found)
    yield from (f"There is an entry too many: {key}" for key in found - expected)
    chains: dict[str, list[EntryRow]] = defaultdict(list)
    for entry in tables.entries:
        chains[entry.account_id].append(entry)
    for account in tables.accounts:
        chain = chains[account.account_id]
        if [entry.number for entry in chain] != list(range(1, account.last_entry + 1)):
            yield f"{account.account_id} has entries with a gap, or not up to {account.last_entry}"
        balance = 0
        for entry in chain:
            balance += entry.amount
            if entry.balance != balance:
                yield f"{account.account_id} has {entry.balance} after entry {entry.number}, not {balance}"
                balance = entry.balance


def _check_balances(history: History, tables: Tables) -> Iterator[str]:
    """Balances are what the answered orders make them, and add up to zero per currency."""
    by_id = {row.order_id: row for row in tables.orders}
    expected = Counter[str]()
    for sent in history.orders:
        row = by_id.get(sent.order_id)
        if row is not None and sent.outcome == "posted" and ORDER_TYPES[sent.kind] in MOVING:
            amount = row.amount if sent.amount is None else sent.amount
            expected.subtract({row.payer: amount})
            expected.update({row.payee: amount})
    totals = Counter[str]()
    for account in tables.accounts:
        totals[account.currency] += account.balance
        if account.balance != expected[account.account_id]:
            yield f"{account.account_id} has {account.balance}, and should have {expected[account.account_id]}"
        if account.floor is not None and account.balance - account.held < account.floor:
            yield f"{account.account_id} has {account.balance}, held {account.held}: below {account.floor}"
    yield from (f"{currency} adds up to {total}" for currency, total in totals.items() if total)


def _check_told(tables: Tables) -> Iterator[str]:
    """The end of each hold was told once."""
    times = Counter(tables.told)
    for hold in tables.holds:
        end = (hold.order_id, f"hold_{hold.status}")
        if times.pop(end, 0) != (end[1] in HOLD_ENDS):
            yield f"{end} was told {tables.told.count(end)} times"
    yield from (f"{end} was told, and did not happen" for end in times)
