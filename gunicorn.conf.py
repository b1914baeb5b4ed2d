"""How `gunicorn myaccount` serves; its command line overrides what is said here."""

import socket
from typing import Any

from myaccount import slots

bind = "127.0.0.1:8080"
worker_class = "aiohttp.GunicornWebWorker"

# gunicorn would open one control socket for all its instances of a user, this one's and any other's.
control_socket_disable = True


class FairSocket:
    """A listening socket that gives one connection a turn of the event loop.

    asyncio takes a hundred at once, so that of many clients who come together the first worker to wake would
    get nearly all, and the others would idle for as long as those stay.
    """

    def __init__(self, listening: Any) -> None:
        self._listening = listening
        self._gave = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listening, name)

    def accept(self) -> tuple[socket.socket, Any]:
        self._gave = not self._gave
        if not self._gave:
            raise BlockingIOError
        connection: tuple[socket.socket, Any] = self._listening.accept()
        return connection


def on_starting(server: Any) -> None:
    slots.open_folder(server.cfg.uid, server.cfg.gid)


def pre_fork(server: Any, worker: Any) -> None:
    slots.take_slot(worker, server.WORKERS.values())


def post_fork(server: Any, worker: Any) -> None:
    slots.enter_slot(worker)
    worker.sockets = [FairSocket(listening) for listening in worker.sockets]


def child_exit(server: Any, worker: Any) -> None:
    slots.leave_slot(worker)


def on_exit(server: Any) -> None:
    slots.remove_folder()
