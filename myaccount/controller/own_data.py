"""What a user's token shows: to it, other users and their teams are not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..access.callers import Caller
from ..errors import NotAMember, TeamNotFound, UserNotFound

# Nobody has this id, which has a space.
NOBODY: Final = " nobody"


def id_as_seen(caller: Caller, user_id: str) -> str:
    """Return the user's id or, if the caller must not see that user, one that nobody has.

    So the same queries are made as for a user that is not there, and take as long.
    """
    return user_id if caller.may_see(user_id) else NOBODY


@contextmanager
def user_as_seen(caller: Caller, user_id: str) -> Iterator[str]:
    """Give what `id_as_seen` returns. The error for a user that is not there names the user that was asked for."""
    try:
        yield id_as_seen(caller, user_id)
    except UserNotFound:
        raise UserNotFound(f"There is no user {user_id!r}.", field="userId") from None


@contextmanager
def team_as_seen(caller: Caller, team_id: str) -> Iterator[None]:
    """Answer a user's token about another user's team as if there were no such team."""
    try:
        yield
    except NotAMember:
        if caller.kind != "user":
            raise
        raise TeamNotFound(f"There is no team {team_id!r}.", field="teamId") from None
