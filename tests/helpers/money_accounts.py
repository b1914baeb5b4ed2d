"""The accounts of the money bank."""

from typing import Final, NamedTuple


class Account(NamedTuple):
    account_id: str
    user: str
    currency: str
    # Whether the user id alone means it; and whether it does together with the currency.
    is_first: bool = True
    is_first_in_currency: bool = True

    def is_meant_by_user(self, currency: str | None) -> bool:
        """Whether an order that names this currency, or none, means the account by its user."""
        return self.is_first if currency is None else self.is_first_in_currency and self.currency == currency


def _accounts_of(user: str, first: str, second: str) -> list[Account]:
    return [
        Account(f"{first}-{user}", user, first),
        Account(f"{second}-{user}", user, second, is_first=False),
        Account(f"{first}-{user}-2", user, first, is_first=False, is_first_in_currency=False),
    ]


# In the order in which each user's accounts are opened.
HOT: Final = [*_accounts_of("h1", "CNY", "JPY"), *_accounts_of("h2", "JPY", "CNY")]
COLD: Final = [
    account
    for number in range(6)
    for account in (*_accounts_of(f"c{number}", "CNY", "JPY"), *_accounts_of(f"d{number}", "JPY", "CNY"))
]
# Atomic bulks alone touch them, and leave their sum as it is.
TWINS: Final = [Account("CNY-twin", "twin", "CNY"), Account("CNY-twin-2", "twin", "CNY", False, False)]
CLOSED: Final = Account("CNY-gone", "gone", "CNY")
# There is neither such a user nor such an account.
NOBODY: Final = Account("", "nobody", "CNY")
NOWHERE: Final = Account("CNY-nowhere", "", "CNY", False, False)


def amount_text(amount: int, currency: str) -> str:
    return str(amount) if currency == "JPY" else f"{amount // 100}.{amount % 100:02}"
