"""Orders of the money bank as clients send them."""

import random
from typing import Final

from .money_accounts import Account, amount_text
from .money_history import Sent

SHORT_SECONDS: Final = 1
LONG_SECONDS: Final = 3600


class OrderForms:
    """Makes orders of given amounts. How they name their parties, and how long holds last, is random."""

    def __init__(self, source: random.Random) -> None:
        self._random = source

    def recharge(self, order_id: str, payee: Account, amount: int) -> Sent:
        return self.move("recharge", order_id, amount, payee.currency, None, ("", payee))

    def transfer(self, order_id: str, payer: Account, payee: Account, amount: int) -> Sent:
        return self.move("transfer", order_id, amount, payer.currency, ("from", payer), ("to", payee))

    def withdraw(self, order_id: str, payer: Account, amount: int) -> Sent:
        return self.move("withdraw", order_id, amount, payer.currency, ("", payer), None)

    def hold(self, order_id: str, payer: Account, amount: int) -> Sent:
        return self.lasting(self.move("hold", order_id, amount, payer.currency, ("from", payer), None))

    def capture(self, order_id: str, hold: Sent) -> Sent:
        return self.about(hold, "capture", order_id)

    def lasting(self, sent: Sent) -> Sent:
        sent.seconds = self._random.choice((SHORT_SECONDS, SHORT_SECONDS, LONG_SECONDS))
        sent.fields["expiresIn"] = str(sent.seconds)
        return sent

    def move(
        self,
        kind: str,
        order_id: str,
        amount: int,
        currency: str,
        payer: tuple[str, Account] | None,
        payee: tuple[str, Account] | None,
    ) -> Sent:
        """Return an order with new parties, each with the prefix of its fields; None is the outside world."""
        parties = [party for party in (payer, payee) if party is not None]
        fields = {"amount": amount_text(amount, currency)}
        with_currency = self._random.random() < 0.3
        if with_currency:
            fields["currency"] = currency
        for prefix, account in parties:
            has_user = account.is_meant_by_user(currency if with_currency else None)
            if not account.account_id or (has_user and self._random.random() < 0.6):
                fields[f"{prefix}userId"] = account.user
            else:
                fields[f"{prefix}accountId"] = account.account_id
        outside = f"outside {currency}"
        from_id, to_id = (outside if party is None else party[1].account_id for party in (payer, payee))
        return Sent(kind, order_id, fields, currency, from_id, to_id, amount)

    def about(self, target: Sent, kind: str, order_id: str, amount: int | None = None) -> Sent:
        """Return an order about another one; without an amount, about all that is left of it."""
        fields = {"originalOrderId" if kind == "refund" else "holdOrderId": target.order_id}
        if amount is not None:
            fields["amount"] = amount_text(amount, target.currency)
        return Sent(kind, order_id, fields, target.currency, amount=amount, target=target.order_id)
