"""`myaccount verify`: whether the books balance."""

import asyncio
import sys

from ..journal.verification import verify_books
from ..settings.schema import Config
from .arguments import Commands
from .ready_database import ready_database


def add_commands(commands: Commands) -> None:
    commands.add(
        "verify",
        "verify that the books balance: exit status 1 if they do not, 2 if they cannot be read",
        lambda config, options: asyncio.run(_verify(config)),
        cannot="verify the books",
        failed=2,
    )


async def _verify(config: Config) -> int:
    """Print each difference in the books; return 1 if there is one."""
    differences = 0
    async with ready_database(config) as database:
        async for difference in verify_books(database, _show_progress):
            print(difference)
            differences += 1
    print(f"{differences} differences." if differences else "The books balance.")
    return 1 if differences else 0


def _show_progress(done: int, count: int) -> None:
    """Draw a progress bar on a terminal."""
    if sys.stderr.isatty():
        bar = "#" * (40 * done // count)
        print(f"\r[{bar:40}] {done} of {count} accounts", end="" if done < count else "\n", file=sys.stderr)
