"""Fields that several operations share."""

from typing import Final

from ..inbox.wording import LANGUAGES
from .field_kinds import ACCOUNT, AMOUNT, CURRENCY, DURATION, IDENTIFIER, one_of, text
from .operation import Field

ORDER_ID: Final = Field(IDENTIFIER, "订单号", "Order id", "r1", fresh=True)
USER_ID: Final = Field(IDENTIFIER, "用户ID", "User id", "u1")
ACCOUNT_ID: Final = Field(ACCOUNT, "账户ID", "Account id", "a1", argument="account")
TEAM_ID: Final = Field(IDENTIFIER, "团队ID", "Team id", "staff")
MONEY: Final = Field(AMOUNT, "金额", "Amount", "100.00")
ACCOUNT_CURRENCY: Final = Field(CURRENCY, "币种", "Currency", "JPY", default=None)
LANGUAGE: Final = Field(one_of(LANGUAGES), "语言", "Language", "zh", default=LANGUAGES[0])
REASON: Final = Field(text(200), "原因", "Reason", "The customer asked for it.")
EXPIRES_IN: Final = Field(DURATION, "有效期（秒）", "Seconds until it expires", "3600")

# A party of an order: a user, or an account.
PAYER: Final = Field(IDENTIFIER, "付款方", "Payer", "u1", argument="payer")
PAYER_ACCOUNT: Final = Field(ACCOUNT, "付款账户", "Payer's account", "a1", argument="payer")
PAYEE: Final = Field(IDENTIFIER, "收款方", "Payee", "u2", argument="payee")
PAYEE_ACCOUNT: Final = Field(ACCOUNT, "收款账户", "Payee's account", "a2", argument="payee")
USER_OR_ACCOUNT: Final = ("userId", "accountId")
# What any order may have.
REMARKS: Final = {
    "note": Field(text(200), "备注", "Note", "Two coffees", default=None),
    "reference": Field(text(64), "外部参考号", "Reference", "invoice-7", default=None),
}
