"""Cancellation that libraries lose: aiomysql and redis-py may raise an error of their own, or just go on."""

import asyncio


def raise_if_cancelled() -> None:
    """Go on being cancelled, if the task was asked to be: for where an error was caught, or a loop goes round."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
