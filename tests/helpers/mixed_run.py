"""A deployment whose secrets are known, and clients that keep what they are shown."""

import asyncio
import base64
import secrets
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from .deployments import Nginx
from .services import Service, run_command


class Known:
    """The secrets, by what they are."""

    def __init__(self) -> None:
        self.by_name: dict[str, str] = {}

    def new(self, name: str) -> str:
        return self.keep(name, secrets.token_hex(16))

    def new_signing(self, name: str) -> str:
        """Return a secret by which callbacks are signed."""
        return f"whsec_{self.keep(name, base64.b64encode(secrets.token_bytes(32)).decode())}"

    def keep(self, name: str, secret: str) -> str:
        # A shorter one could be there by chance.
        assert len(secret) > 12, name
        self.by_name[name] = secret
        return secret

    def found_in(self, text: str) -> list[str]:
        """Return the names of those that stand in the text."""
        return [name for name, secret in self.by_name.items() if secret in text]


class Run(NamedTuple):
    """The deployment and its clients."""

    service: Service
    nginx: Nginx
    session: aiohttp.ClientSession
    known: Known
    # The replies, and what commands printed.
    shown: list[str]

    async def ask(self, expected: int, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Send a request through nginx. The reply is to show no secret."""
        response, text = await self.ask_for_secret(method, path, **options)
        self.shown.append(text)
        assert response.status == expected, (method, path, options, text)
        return response

    async def ask_for_secret(self, method: str, path: str, **options: Any) -> tuple[aiohttp.ClientResponse, str]:
        address = f"{self.nginx.address}{path}"
        async with self.session.request(method, address, allow_redirects=False, **options) as response:
            return response, await response.text()

    async def command(self, *words: str, file: Path | None = None) -> None:
        """Run a command, which is to print no secret."""
        self.shown.append(await self._printed(*words, file=file))

    async def new_key(self, name: str, *words: str) -> str:
        """Return the key that the command prints."""
        key = (await self._printed("keys", *words)).strip()
        self.known.keep(name, key.rpartition("_")[2])
        return key

    async def _printed(self, *words: str, file: Path | None = None) -> str:
        command = ("python3", "-m", "myaccount", *words, "-c", str(file or self.service.configuration))
        done = await asyncio.to_thread(run_command, *command)
        return done.stdout + done.stderr
