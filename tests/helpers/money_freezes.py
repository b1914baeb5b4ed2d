"""Checks that freezes and closings were in force: for every order that was sent after their reply.

A freeze is in force until it is lifted, a closing for ever.
"""

from collections import defaultdict
from collections.abc import Iterator

from .money_history import History, Setting
from .money_tables import Tables

# The values of `frozen` under which an order of this kind is declined, for its payer and for its payee. The end of
# a hold is never declined, and a hold gives its payee nothing yet. Each kind is declined if an account is closed.
DEBITS = frozenset({"debits", "all"})
CREDITS = frozenset({"credits", "all"})
FORBIDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "recharge": (frozenset(), CREDITS),
    "transfer": (DEBITS, CREDITS),
    "withdraw": (DEBITS, frozenset()),
    "refund": (DEBITS, frozenset({"all"})),
    "hold": (DEBITS, frozenset()),
    "capture": (frozenset({"all"}), CREDITS),
}


def check_freezes(history: History, tables: Tables) -> Iterator[str]:
    settings = defaultdict(list)
    for setting in history.settings:
        if setting.name == "frozen":
            settings[setting.account_id].append(setting)
    rows = {row.order_id: row for row in tables.orders}
    for sent in history.orders:
        row = rows.get(sent.order_id)
        if row is None or sent.kind not in FORBIDS:
            continue
        frozen = [_states(settings[account], sent.began, sent.ended) for account in (row.payer, row.payee)]
        is_forbidden = [states & forbids for states, forbids in zip(frozen, FORBIDS[sent.kind], strict=True)]
        if sent.outcome == "account_frozen" and not any(is_forbidden):
            yield f"{sent.order_id} was declined as if an account were frozen"
        if sent.outcome == "posted" and any(
            states <= forbids for states, forbids in zip(frozen, FORBIDS[sent.kind], strict=True)
        ):
            yield f"{sent.order_id} was posted on a frozen account"


def check_closings(history: History, tables: Tables) -> Iterator[str]:
    closings = {setting.account_id: setting for setting in history.settings if setting.name == "status"}
    rows = {row.order_id: row for row in tables.orders}
    for sent in history.orders:
        row = rows.get(sent.order_id)
        if row is None or sent.kind not in FORBIDS:
            continue
        found = [closings[account] for account in (row.payer, row.payee) if account in closings]
        if sent.outcome == "account_closed" and not any(closing.began < sent.ended for closing in found):
            yield f"{sent.order_id} was declined as if an account were closed"
        if sent.outcome == "posted" and any(closing.ended < sent.began for closing in found):
            yield f"{sent.order_id} was posted on a closed account"


def _states(settings: list[Setting], began: int, ended: int) -> frozenset[str]:
    """Return every value that was in force at some moment between the two."""
    before = [setting for setting in settings if setting.ended < began]
    meanwhile = [setting for setting in settings if setting.ended >= began and setting.began < ended]
    return frozenset({before[-1].value if before else "none", *(setting.value for setting in meanwhile)})
