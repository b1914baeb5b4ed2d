"""The service for gunicorn. The journal writer of one worker fails as soon as the file BREAK_ONCE names exists."""

import os
from pathlib import Path

from aiohttp import web

from myaccount.cli.serve_command import runner_from_environment
from myaccount.journal import settling
from myaccount.ledger.commands import Command
from myaccount.ledger.outcomes import Outcome

BREAK_ONCE = "BREAK_ONCE"


_labels = settling._labels


def _fail_once(command: Command, outcome: Outcome) -> list[tuple[str, str]]:
    try:
        # Only one worker can remove it.
        Path(os.environ[BREAK_ONCE]).unlink()
    except FileNotFoundError:
        return _labels(command, outcome)
    raise ZeroDivisionError


async def application() -> web.AppRunner:
    # Before an order is answered.
    vars(settling)["_labels"] = _fail_once
    return runner_from_environment()
