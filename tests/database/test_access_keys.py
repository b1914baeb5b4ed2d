"""Keys in the database: what creating, rotating and revoking leaves, and what is known of the time."""

import hashlib
from datetime import timedelta

import pytest

from myaccount.access.key_cache import KnownKeys
from myaccount.access.key_rows import KeyRefused, KeyRow, create_key, find_keys, list_keys, revoke_keys, rotate_key
from myaccount.database.database import Database
from myaccount.database.times import utc_now

from ..helpers.wallets import Forgetful

NOW = utc_now().replace(microsecond=0)
HOUR = timedelta(hours=1)


async def _works(database: Database, key: str) -> bool:
    return await _works_at(database, key, 0)


async def _works_at(database: Database, key: str, hours: float) -> bool:
    keys = KnownKeys(await database.read(find_keys), NOW + HOUR * hours)
    return keys.find(f"Bearer {key}") is not None


async def _rows(database: Database) -> list[KeyRow]:
    return await list_keys(database)


async def test_a_key_is_random_and_only_its_hash_is_kept(database: Database) -> None:
    first = await create_key(database, "a", ["orders:read", "money:in"], NOW)
    second = await create_key(database, "b", ["cards"], NOW, rate_per_second=100, lifetime=HOUR)
    rows = await _rows(database)
    for key, row in zip((first, second), rows, strict=True):
        prefix, key_id, secret = key.split("_")
        assert (prefix, len(key_id), len(bytes.fromhex(secret))) == ("mak", 12, 32)
        assert (row.key_id, row.secret_hash) == (key_id, hashlib.sha256(secret.encode()).hexdigest())
        assert not any(secret in str(value) for value in row)
    assert first[:16] != second[:16]
    assert rows[0][3:] == ("orders:read,money:in", None, NOW, None, None)
    assert rows[1][3:] == ("cards", 100, NOW, NOW + HOUR, None)
    assert await _works(database, first)
    assert await _works_at(database, second, 0.99)
    assert not await _works_at(database, second, 1)


async def test_a_name_is_free_again_once_its_key_has_ended(database: Database) -> None:
    await create_key(database, "shop", ["cards"], NOW, lifetime=HOUR)
    with pytest.raises(KeyRefused, match="there is a key by the name shop"):
        await create_key(database, "shop", ["cards"], NOW + HOUR / 2)
    await create_key(database, "shop", ["cards"], NOW + HOUR)
    await revoke_keys(database, "shop", NOW + HOUR)
    await create_key(database, "shop", ["cards"], NOW + HOUR)


async def test_a_rotation_lets_both_keys_work_until_the_overlap_is_over(database: Database) -> None:
    days = 90 * 24 * HOUR
    old = await create_key(database, "shop", ["cards", "money:in"], NOW, rate_per_second=7, lifetime=days)
    other = await create_key(database, "other", ["cards"], NOW)
    new = await rotate_key(database, "shop", HOUR, NOW + HOUR)
    for hours, works in ((1.5, [True, True, True]), (2, [False, True, True]), (90 * 24 + 1, [False, False, True])):
        assert [await _works_at(database, key, hours) for key in (old, new, other)] == works
    row = (await _rows(database))[-1]
    assert row[3:] == ("cards,money:in", 7, NOW + HOUR, NOW + HOUR + days, None)
    # Another one does not give the first a longer life.
    newest = await rotate_key(database, "shop", 5 * HOUR, NOW + 1.5 * HOUR)
    assert [await _works_at(database, key, 2) for key in (old, new, newest)] == [False, True, True]
    with pytest.raises(KeyRefused, match="no key by the name nobody works"):
        await rotate_key(database, "nobody", HOUR, NOW)


async def test_revoking_ends_all_keys_by_the_name(database: Database) -> None:
    old = await create_key(database, "shop", ["cards"], NOW)
    new = await rotate_key(database, "shop", HOUR, NOW)
    other = await create_key(database, "other", ["cards"], NOW)
    await revoke_keys(database, "shop", NOW)
    assert [await _works(database, key) for key in (old, new, other)] == [False, False, True]
    assert [row.revoked_at for row in await _rows(database)] == [NOW, NOW, None]
    # Again, nothing changes.
    await revoke_keys(database, "shop", NOW + HOUR)
    assert [row.revoked_at for row in await _rows(database)] == [NOW, NOW, None]
    with pytest.raises(KeyRefused, match="no key by the name shop works"):
        await rotate_key(database, "shop", HOUR, NOW)
    with pytest.raises(KeyRefused, match="there is no key by the name nobody"):
        await revoke_keys(database, "nobody", NOW)


async def test_a_commit_whose_answer_is_lost_leaves_one_key(database: Database) -> None:
    forgetful = Forgetful(database)
    old = await create_key(forgetful, "shop", ["cards"], NOW)
    new = await rotate_key(forgetful, "shop", HOUR, NOW)
    assert [await _works(database, key) for key in (old, new)] == [True, True]
    assert len(await _rows(database)) == 2
    await revoke_keys(forgetful, "shop", NOW)
    assert [await _works(database, key) for key in (old, new)] == [False, False]
