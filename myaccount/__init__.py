"""A wallet ledger service: opens accounts, takes top-ups, moves money, and answers what became of every order."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web


async def application() -> "web.AppRunner":
    """Return the service for `gunicorn myaccount`, which has no command line of ours.

    The environment variable MYACCOUNT_CONFIG names the configuration file, if not the shipped one.
    """
    from .cli import runner_from_environment

    return runner_from_environment()
