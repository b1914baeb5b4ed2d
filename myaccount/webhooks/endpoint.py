"""Sends callbacks to the endpoints of the configuration."""

import asyncio
import logging
import re
import ssl
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import yarl
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database
from ..database.leases import postpone, remove
from ..database.times import utc_now
from ..model.outbox import delivery
from ..observability.metrics import count_delivery
from ..settings.callbacks import CallbackConfig, endpoint_key, url_key
from ..system.addresses import connection_fault
from .deliveries import GONE, Delivery, disable_endpoint, take_deliveries, take_over_deliveries
from .signature import signatures

_logger = logging.getLogger(__name__)

REQUESTS_AT_ONCE: Final = 16
ANSWER_LIMIT_BYTES: Final = 64 * 1024
POLL_SECONDS: Final = 2
# After a short batch, wait this long so that deliveries gather. A full batch is followed by the next at once.
GATHERING_SECONDS: Final = 0.1
# A delivery's lease is longer than its request's timeout by this.
MARGIN_SECONDS: Final = 15
# About a day, with the exponential backoff of leases.py.
ATTEMPTS: Final = 15
# Least time between two log lines about one endpoint's failures.
LOG_SECONDS: Final = 60

# The metrics' label for each error; any other is "failed".
_RESULTS: Final[dict[str | None, str]] = {None: "ok", GONE: "gone"}


class Endpoint:
    """Sends the pending deliveries of one endpoint, each at least once, whichever process inserted them.

    Each endpoint has its own task and its own concurrent requests, so a slow one does not delay the others.
    """

    def __init__(self, database: Database, session: aiohttp.ClientSession, callback: CallbackConfig) -> None:
        self._database = database
        self._session = session
        self._callback = callback
        self._woken = asyncio.Event()
        self.key = endpoint_key(callback)
        self._url_key = url_key(callback["url"])
        self._url = _as_written(callback["url"])
        self._proxy = _proxy(callback)
        self._host = urlsplit(callback["url"]).hostname or ""
        self._next_log = 0.0
        self._failed = 0
        self.change_types = frozenset(callback["events"])

    def wake(self) -> None:
        """Announce a new pending delivery."""
        self._woken.set()

    async def deliver(self) -> None:
        """Send up to REQUESTS_AT_ONCE due deliveries. If none is due, wait for `wake`, at most POLL_SECONDS."""
        self._woken.clear()
        due = await self._database.write(self._take)
        if due:
            errors = await asyncio.gather(*map(self._send, due))
            for error in errors:
                count_delivery(self._host, _RESULTS.get(error, "failed"))
            self._log_failures([error for error in errors if error is not None])
            disabled = await self._database.write(partial(self._settle, dict(zip(due, errors, strict=True))))
            if disabled:
                _logger.warning(
                    "The callback %s (%s) answered 410 and is disabled. Its deliveries are kept:"
                    " `myaccount events resend %s` enables it and sends them.",
                    self.key,
                    self._host,
                    self.key,
                )
            if len(due) < REQUESTS_AT_ONCE:
                await asyncio.sleep(GATHERING_SECONDS)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()

    async def _take(self, connection: AsyncConnection) -> list[Delivery]:
        if self.key != self._url_key:
            # Deliveries that were inserted before the endpoint had a name carry the key of its URL.
            await take_over_deliveries(connection, self._url_key, self.key)
        lease_seconds = self._callback["timeout_seconds"] + MARGIN_SECONDS
        return await take_deliveries(connection, self.key, utc_now(), REQUESTS_AT_ONCE, lease_seconds)

    async def _settle(self, errors: dict[Delivery, str | None], connection: AsyncConnection) -> bool:
        """Delete the delivered rows, postpone the failed ones; return whether this disabled the endpoint.

        After a failover to a replica that lost deliveries, other rows may have their ids. So a row is changed only
        if its webhook id matches as well.
        """
        now = utc_now()
        same = delivery.c.webhook_id.in_([sent.webhook_id for sent in errors])
        delivered = [sent.id for sent, error in errors.items() if error is None]
        if delivered:
            await remove(connection, delivery, delivery.c.id.in_(delivered), same)
        failed = {sent.id: error for sent, error in errors.items() if error is not None}
        gone = GONE in failed.values()
        await postpone(connection, delivery, failed, now, 1 if gone else ATTEMPTS, same)
        return gone and await disable_endpoint(connection, self.key, now)

    def _log_failures(self, errors: Collection[str]) -> None:
        self._failed += len(errors)
        now = asyncio.get_running_loop().time()
        for error in errors:
            if error != GONE and now >= self._next_log:
                _logger.warning(
                    "The callback %s (%s) failed: %s. Failed requests since the last such line: %s.",
                    self.key,
                    self._host,
                    error,
                    self._failed,
                )
                self._next_log = now + LOG_SECONDS
                self._failed = 0

    async def _send(self, due: Delivery) -> str | None:
        """Send the request; return why it failed, or None."""
        now_seconds = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": due.webhook_id,
            "webhook-timestamp": str(now_seconds),
        }
        if "secret" in self._callback:
            headers["webhook-signature"] = signatures(
                self._callback["secret"], due.webhook_id, now_seconds, due.body
            )
        timeout = aiohttp.ClientTimeout(total=self._callback["timeout_seconds"])
        status = None
        try:
            async with self._session.post(
                self._url,
                proxy=self._proxy,
                data=due.body.encode(),
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
            ) as answer:
                status = answer.status
                # Only the status counts. The body is read, up to a limit, so that the connection can be reused.
                with suppress(asyncio.IncompleteReadError):
                    await answer.content.readexactly(ANSWER_LIMIT_BYTES)
        except Exception as error:
            # Any error fails this request only, not those that are sent with it.
            if status is None:
                return f"the request failed: {self._reason(error)}"
        if status == HTTPStatus.GONE:
            return GONE
        return None if status is not None and 200 <= status < 300 else f"the endpoint answered {status}"

    def _reason(self, error: Exception) -> str:
        # Without the error's text: it may contain the address, which may hold a password.
        if isinstance(error, TimeoutError):
            return f"no reply within {self._callback['timeout_seconds']:g} seconds"
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return "the endpoint closed the connection without a reply"
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return f"the proxy answered {error.status}"
        return connection_fault(error) or type(error).__name__


def _as_written(address: str) -> yarl.URL:
    """Return the address with its escapes unchanged. Characters that a request must not contain are escaped."""
    return yarl.URL(address, encoded=re.fullmatch("[!-~]*", address) is not None)


def _proxy(callback: CallbackConfig) -> yarl.URL | None:
    """Return the proxy of the configuration or, with `trust_env`, of the environment.

    Not by aiohttp's own `trust_env`: it would also send the passwords of ~/.netrc.
    """
    proxy = callback.get("proxy")
    if proxy is None and callback["trust_env"]:
        parts = urlsplit(callback["url"])
        if not proxy_bypass(parts.netloc.rpartition("@")[2]):
            proxy = getproxies().get(parts.scheme)
    return _as_written(proxy) if proxy else None


@asynccontextmanager
async def open_endpoints(database: Database, callbacks: Sequence[CallbackConfig]) -> AsyncIterator[list[Endpoint]]:
    """Yield the endpoints of the configuration, each with its own connections."""
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(_session(callback)) for callback in callbacks]
        yield [Endpoint(database, *both) for both in zip(sessions, callbacks, strict=True)]


def _session(callback: CallbackConfig) -> aiohttp.ClientSession:
    certificates = ssl.create_default_context(cafile=callback["ca"]) if "ca" in callback else True
    return aiohttp.ClientSession(
        # No limit: the endpoint sends at most REQUESTS_AT_ONCE.
        connector=aiohttp.TCPConnector(limit=0, ssl=certificates),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": "MyAccount"},
    )
