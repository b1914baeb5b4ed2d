"""Fields that several operations share."""

from typing import Final

from ..inbox.wording import LANGUAGES
from .field_kinds import AMOUNT, IDENTIFIER, one_of
from .operation import Field

ORDER_ID: Final = Field(IDENTIFIER, "订单号", "Order id", "r1", fresh=True)
USER_ID: Final = Field(IDENTIFIER, "用户ID", "User id", "u1")
TEAM_ID: Final = Field(IDENTIFIER, "团队ID", "Team id", "staff")
MONEY: Final = Field(AMOUNT, "金额", "Amount", "100.00")
LANGUAGE: Final = Field(one_of(LANGUAGES), "语言", "Language", "zh", default=LANGUAGES[0])
