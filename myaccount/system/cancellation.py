"""Cancellation that libraries lose: aiomysql and redis-py may raise another error instead, or carry on."""

import asyncio


def raise_if_cancelled() -> None:
    """Raise CancelledError if the task was cancelled. For use after catching an error, and in loops."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
