"""How long it takes to refuse a key tells nothing of those that there are."""

import hmac
from datetime import datetime, timedelta
from hashlib import sha256

import pytest

from myaccount.access import key_cache
from myaccount.access.key_cache import KnownKeys
from myaccount.access.key_rows import KeyRow

NOW = datetime(2026, 1, 1)
SECRET, WRONG = "5" * 64, "6" * 64


def _row(key_id: str, expires_at: datetime | None = None) -> KeyRow:
    return KeyRow(key_id, key_id, sha256(SECRET.encode()).hexdigest(), "orders:read", None, NOW, expires_at)


@pytest.mark.parametrize(
    ("key_id", "secret", "works"),
    [
        ("known", SECRET, True),
        ("known", WRONG, False),
        ("unknown", SECRET, False),
        ("unknown", "", False),
        ("expired", SECRET, False),
    ],
)
def test_each_secret_is_hashed_and_compared_in_constant_time_also_for_an_unknown_id(
    monkeypatch: pytest.MonkeyPatch, key_id: str, secret: str, works: bool
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, known: bytes) -> bool:
        compared.append((given, known))
        return hmac.compare_digest(given, known)

    monkeypatch.setattr(key_cache, "compare_digest", compare)
    keys = KnownKeys([_row("known"), _row("expired", NOW - timedelta(hours=1))], NOW)
    assert (keys.find(key_id, secret) is not None) is works
    ((given, known),) = compared
    assert given == sha256(secret.encode()).digest()
    assert len(known) == len(given)
