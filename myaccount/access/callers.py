"""Who sends a request, and what that allows."""

from collections.abc import Set
from typing import Final, Literal, NamedTuple

from aiohttp import web

from ..appkeys import caller_key
from ..ledger.makers import Maker
from .rates import Rate
from .scopes import CARDS, SCOPES

MASK: Final = "******"


class Caller(NamedTuple):
    """A key, an operator, a user by the user's own token or, in an open service, nobody in particular."""

    kind: Literal["key", "operator", "user", "nobody"]
    # The key's id, the operator's name or the user's id.
    id: str
    scopes: Set[str]
    # As which it makes orders. An open service does not know.
    maker: Maker | None = None
    rate: Rate | None = None

    def shown_card(self, card_num: str) -> str:
        """Return a card number as this caller sees it: whole, or its last four characters if it has more."""
        if CARDS in self.scopes:
            return card_num
        return MASK + (card_num[-4:] if len(card_num) > 4 else "")

    @property
    def only_user(self) -> str | None:
        """The one user whose own it may see. None if it may see everybody's."""
        return self.id if self.kind == "user" else None

    def may_see(self, user_id: str) -> bool:
        """Whether it may see what is that user's."""
        return self.only_user in (None, user_id)


ANYBODY: Final = Caller("nobody", "", frozenset(SCOPES))


def caller_of(request: web.Request) -> Caller:
    """Return who sends the request."""
    caller: Caller = request.get(caller_key, ANYBODY)
    return caller
