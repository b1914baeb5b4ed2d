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
KNOWN, OTHER, UNKNOWN, EXPIRED = "known0000000", "other0000000", "unknown00000", "expired00000"


def _row(key_id: str, expires_at: datetime | None = None) -> KeyRow:
    return KeyRow(key_id, key_id, sha256(SECRET.encode()).hexdigest(), "orders:read", None, NOW, expires_at)


def _header(key_id: str, secret: str) -> str:
    return f"Bearer mak_{key_id}_{secret}"


@pytest.mark.parametrize(
    ("key_id", "secret", "works"),
    [
        (KNOWN, SECRET, True),
        (KNOWN, WRONG, False),
        (UNKNOWN, SECRET, False),
        (EXPIRED, SECRET, False),
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
    keys = KnownKeys([_row(KNOWN), _row(EXPIRED, NOW - timedelta(hours=1))], NOW)
    assert (keys.find(_header(key_id, secret)) is not None) is works
    ((given, known),) = compared
    assert given == sha256(secret.encode()).digest()
    assert len(known) == len(given)


def test_a_right_secret_is_hashed_once_and_a_wrong_one_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def hash_of(secret: str) -> bytes:
        hashed.append(secret)
        return sha256(secret.encode()).digest()

    monkeypatch.setattr(key_cache, "hash_of", hash_of)
    keys = KnownKeys([_row(KNOWN), _row(OTHER)], NOW)
    for secret in (SECRET, WRONG) * 3:
        assert (keys.find(_header(KNOWN, secret)) is not None) is (secret == SECRET)
    assert hashed == [SECRET, WRONG, WRONG, WRONG]
    # A secret proves one id only.
    assert keys.find(_header(UNKNOWN, SECRET)) is None
    other = keys.find(_header(OTHER, SECRET))
    assert other is not None
    assert other.id == OTHER


def test_headers_of_any_length_fill_no_memory() -> None:
    keys = KnownKeys([_row(KNOWN)], NOW)
    for number in range(1, 100):
        for scheme in ("Bearer", "bearer"):
            assert keys.find(f"{scheme}{' ' * number}mak_{KNOWN}_{SECRET}") is not None
    assert len(keys._proved) == 2


def test_a_key_that_was_proved_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 0.0, 4.9, 5.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    keys = KnownKeys([_row(KNOWN, NOW + timedelta(seconds=5))], NOW)
    assert [keys.find(_header(KNOWN, SECRET)) is not None for _ in range(3)] == [True, True, False]
