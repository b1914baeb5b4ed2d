"""The service for gunicorn. The journal writer of one worker fails as soon as the file BREAK_ONCE names exists."""

import os
from collections.abc import Iterable
from pathlib import Path

from aiohttp import web

from myaccount.cli.serve_command import runner_from_environment
from myaccount.journal import settling
from myaccount.observability.metrics import count_orders

BREAK_ONCE = "BREAK_ONCE"


def _fail_once(types_and_outcomes: Iterable[tuple[str, str]]) -> None:
    try:
        # Only one worker can remove it.
        Path(os.environ[BREAK_ONCE]).unlink()
    except FileNotFoundError:
        count_orders(types_and_outcomes)
    else:
        raise ZeroDivisionError


async def application() -> web.AppRunner:
    vars(settling)["count_orders"] = _fail_once
    return runner_from_environment()
