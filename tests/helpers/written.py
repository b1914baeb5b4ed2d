"""Everything that a deployment writes: files, rows, what Redis holds and is sent, and lines of processes."""

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .servers import MariaDB, Redis


def files_in(*folders: Path, but_for: Iterable[Path] = ()) -> dict[str, str]:
    """Return the content of each file by its path."""
    files = {file for folder in folders for file in folder.rglob("*") if file.is_file()}
    contents = {}
    for file in files.difference(but_for):
        # It may have been removed meanwhile.
        with suppress(FileNotFoundError):
            contents[str(file)] = file.read_bytes().decode("latin-1")
    return contents


def process_lines() -> str:
    """Return the command lines of all processes of this machine."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        # It may have ended meanwhile.
        with suppress(OSError):
            lines.append(file.read_bytes().decode("latin-1").replace("\0", " "))
    return "\n".join(lines)


def redis_contents(server: Redis) -> str:
    """Return each key with its value."""
    readers: dict[str, Any] = {"string": "get", "set": "smembers", "stream": "xrange", "hash": "hgetall"}
    with server.client() as client:
        kinds = {key: client.type(key) for key in client.scan_iter()}
        # Some keys end by themselves.
        present = {key: kind for key, kind in kinds.items() if kind != "none"}
        return "\n".join(f"{key} {getattr(client, readers[kind])(key)}" for key, kind in present.items())


@contextmanager
def commands_of(server: Redis) -> Iterator[list[str]]:
    """Give the commands that Redis gets meanwhile, but for those by which clients sign in."""
    commands: list[str] = []
    last = "the last command"

    def listen() -> None:
        for line in lines:
            commands.append(line.decode("latin-1"))
            if last in commands[-1]:
                return

    with socket.create_connection(("127.0.0.1", server.port)) as connection, connection.makefile("rb") as lines:
        connection.sendall(b"MONITOR\r\n")
        assert lines.readline() == b"+OK\r\n"
        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield commands
        finally:
            with server.client() as client:
                client.echo(last)
            thread.join()


def rows_in(server: MariaDB, database: str) -> str:
    """Return all rows of all tables."""
    with server.connect(database=database) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        lines = []
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT * FROM `{table}`")
            lines += [f"{table} {row}" for row in cursor.fetchall()]
    return "\n".join(lines)
