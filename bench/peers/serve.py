"""Serves the FastAPI peer in one of several processes that share a port.

uvicorn's own `--workers` hands its processes a socket that asyncio takes for one without TCP_NODELAY, so that
each reply to a kept connection waits 40 ms for the client's acknowledgement: nobody would leave it so.
"""

import os
import socket
import sys

import uvicorn


def main() -> None:
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(2048)
    for _ in range(workers - 1):
        if os.fork() == 0:
            break
    config = uvicorn.Config("bench.peers.fastapi_peer:app", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
