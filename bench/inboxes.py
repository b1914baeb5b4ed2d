"""Whether what was ordered can be read in the inboxes."""

import json
import secrets
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from tests.helpers.servers import wait_until

# Enough that of any few hundred orders some are theirs. Not the first user, to whom hot transfers are paid.
READERS = tuple(f"u{number}" for number in range(2, 22))
# All messages can be read within this time after the load, or the run fails.
DELIVERY_SECONDS = 60
ENTRIES = "SELECT user_id, SUM(last_entry) FROM account WHERE user_id IN ({}) GROUP BY user_id".format(
    ", ".join(f"'{reader}'" for reader in READERS)
)


class Inboxes:
    """The inboxes of some users, by the replies to their readers, and the entries of their accounts.

    A transfer and a recharge add one message for each entry. Declines, holds and openings add some without one.
    """

    def __init__(self, address: str, query: Callable[[str], Sequence[Any]], key: str | None) -> None:
        self._address = address
        self._query = query
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._before: dict[str, int] = {}

    def begin(self) -> None:
        """Remember how many more messages than entries each user has."""
        # The last orders of the load before may be committed meanwhile.
        entries: dict[str, int] = {}
        totals: dict[str, int] = {}
        while (found := self._entries()) != entries:
            entries, totals = found, self._totals(READERS)
        self._before = {reader: totals[reader] - entries[reader] for reader in READERS}

    def wait(self) -> None:
        """Wait until each of the users can read a message for every entry since `begin`.

        Raises TimeoutError if they cannot within DELIVERY_SECONDS.
        """
        # Events are delivered about in their order, so this one waits for messages that have no entry, too.
        self._transfer(*READERS[:2])
        entries = self._entries()
        missing = list(READERS)

        def complete() -> bool:
            totals = self._totals(missing)
            missing[:] = [reader for reader in missing if totals[reader] - entries[reader] < self._before[reader]]
            return not missing

        wait_until(complete, DELIVERY_SECONDS)

    def _entries(self) -> dict[str, int]:
        return {reader: int(entries) for reader, entries in self._query(ENTRIES)}

    def _totals(self, readers: Sequence[str]) -> dict[str, int]:
        """Return by reader how many messages the service says that there are."""
        paths = {reader: f"/messages?userId={reader}&pageSize=1" for reader in readers}
        return {reader: self._request(path)["total"] for reader, path in paths.items()}

    def _transfer(self, payer: str, payee: str) -> None:
        order = f"orderId=last-{secrets.token_hex(8)}&fromuserId={payer}&touserId={payee}&amount=0.01"
        self._request("/transfer", order)

    def _request(self, path: str, form: str | None = None) -> Any:
        data = form.encode() if form else None
        request = urllib.request.Request(self._address + path, data, self._headers)  # noqa: S310 - our own service
        with urllib.request.urlopen(request, timeout=DELIVERY_SECONDS) as response:  # noqa: S310
            return json.loads(response.read())
