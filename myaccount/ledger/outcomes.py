"""The outcome of a command."""

from typing import Final, NamedTuple

from ..errors import RequestError


class Outcome(NamedTuple):
    """The outcome of one command: `error` is None if it was done.

    `replayed` means that it is the outcome of an earlier command with the same id. An atomic bulk has the outcomes
    of its `parts`; if it was not done, `failed` is the place of the first one at fault.
    """

    error: RequestError | None = None
    replayed: bool = False
    parts: "tuple[Outcome, ...]" = ()
    failed: int | None = None


DONE: Final = Outcome()
