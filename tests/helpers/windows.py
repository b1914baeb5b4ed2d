"""The service with only what Windows has: tests/helpers/windows.py [command] -c FILE.

There is no Windows here. So this takes away, on Linux, what only POSIX has, refuses what Windows refuses, and then
runs the command line. Libraries are loaded before that: they have versions of their own for Windows.
"""

import asyncio
import errno
import fcntl
import mimetypes
import os
import signal
import socket
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import aiohttp_jinja2  # noqa: F401
import aiohttp_sse  # noqa: F401
import aiojobs  # noqa: F401
import aiomysql  # noqa: F401
import aiosqlite  # noqa: F401
import alembic.command  # noqa: F401
import prometheus_client  # noqa: F401
import pythonjsonlogger.json  # noqa: F401
import redis.asyncio  # noqa: F401
import trafaret_config.commandline  # noqa: F401
from aiohttp import web  # noqa: F401

MODULES = ("fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty", "pty", "readline")
NAMES: dict[types.ModuleType, str] = {
    os: "chown chroot fchmod fchown fork forkpty getegid geteuid getgid getgroups getloadavg getpgid getuid "
    "killpg lchown mkfifo nice openpty pread pwrite sched_getaffinity setgid setsid setuid sync sysconf uname "
    "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_SYNC O_TMPFILE WNOHANG",
    signal: "SIGHUP SIGUSR1 SIGUSR2 SIGKILL SIGALRM SIGQUIT SIGPIPE SIGCHLD SIGSTOP SIGCONT SIGWINCH "
    "alarm pause pthread_kill setitimer siginterrupt sigwait",
    socket: "AF_UNIX SO_REUSEPORT send_fds recv_fds",
}


def _not_implemented(*_: Any) -> NoReturn:
    raise NotImplementedError


def _its_own(name: str) -> Callable[..., Any]:
    """Return a method of this loop that only asyncio itself may call."""
    original: Callable[..., Any] = getattr(asyncio.SelectorEventLoop, name)

    def method(*words: Any) -> Any:
        if not sys._getframe(1).f_globals["__name__"].startswith("asyncio."):
            raise NotImplementedError
        return original(*words)

    return method


class ProactorLike(asyncio.SelectorEventLoop):
    """Windows' event loop: it waits for completed operations, not for ready files, and handles no signals."""

    add_reader, remove_reader = _its_own("add_reader"), _its_own("remove_reader")  # type: ignore[assignment]
    add_writer, remove_writer = _its_own("add_writer"), _its_own("remove_writer")  # type: ignore[assignment]
    add_signal_handler = remove_signal_handler = _not_implemented  # type: ignore[assignment]
    create_unix_server = create_unix_connection = _not_implemented  # type: ignore[assignment]


def _refuse_open_files(name: str) -> None:
    """Make a function refuse to remove or rename a file that this process has open, as on Windows."""
    original: Callable[..., None] = getattr(os, name)

    def refusing(*paths: Any, **words: Any) -> None:
        for path in paths:
            if os.path.realpath(path) in _open_files():
                raise PermissionError(errno.EACCES, "The process cannot access the file: it is in use", str(path))
        if name == "rename" and Path(paths[1]).exists():
            raise FileExistsError(errno.EEXIST, "The file exists", str(paths[1]))
        original(*paths, **words)

    setattr(os, name, refusing)


def _open_files() -> set[str]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib would list its own
        try:
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
        except OSError:
            continue
    return found


def _refuse_folders_and_half_open_files() -> None:
    open_, fsync = os.open, os.fsync

    def opening(path: Any, flags: int, mode: int = 0o777, **words: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_(path, flags, mode, **words)

    def syncing(descriptor: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        fsync(descriptor)

    os.open, os.fsync = opening, syncing  # type: ignore[assignment]


def _msvcrt() -> types.ModuleType:
    module: Any = types.ModuleType("msvcrt")
    module.LK_NBLCK = 2

    def locking(descriptor: int, mode: int, size: int) -> None:
        assert (mode, size) == (module.LK_NBLCK, 1)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    module.locking = locking
    return module  # type: ignore[no-any-return]


def become_windows() -> None:
    # The event loop itself needs a pair of sockets.
    pair, unix = socket.socketpair, socket.AF_UNIX
    socket.socketpair = lambda *_: pair(unix)
    signal.SIGBREAK = signal.SIGQUIT  # type: ignore[attr-defined]
    for module, names in NAMES.items():
        for name in names.split():
            delattr(module, name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.modules["msvcrt"] = _msvcrt()
    for name in ("remove", "rename", "replace", "rmdir", "unlink"):
        _refuse_open_files(name)
    _refuse_folders_and_half_open_files()
    # mimetypes reads the registry, where any program may have set such types.
    mimetypes.add_type("text/plain", ".js")
    mimetypes.add_type("text/plain", ".css")
    asyncio.events.new_event_loop = ProactorLike
    # A file that is opened without an encoding has the user's, which is seldom UTF-8.
    assert sys.flags.warn_default_encoding
    warnings.filterwarnings("error", category=EncodingWarning)
    sys.platform = "win32"


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    become_windows()
    from myaccount.cli.entry import main

    sys.exit(main())
