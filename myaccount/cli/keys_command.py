"""`myaccount keys`: lists API keys, and creates, rotates and revokes them."""

import argparse
import asyncio
import re
from datetime import timedelta
from typing import Final

from ..access.key_rows import create_key, list_keys, revoke_keys, rotate_key
from ..access.scopes import SCOPES
from ..access.signing import service_time
from ..settings.schema import Config
from .arguments import Commands, Options
from .ready_database import ready_database

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def add_commands(commands: Commands) -> None:
    keys = commands.add(
        "keys",
        "list the API keys; create, rotate or revoke them",
        lambda config, options: asyncio.run(_list(config)),
        cannot="show the keys",
    )
    actions = Commands(keys)
    # Without an action too.
    actions.add(
        "list", "list the API keys", lambda config, options: asyncio.run(_list(config)), cannot="show the keys"
    )
    create = actions.add(
        "create",
        "print a new key, once: only a hash of it is kept",
        lambda config, options: asyncio.run(_create(config, options)),
        cannot="create a key",
    )
    create.add_argument("--name", required=True, type=_name, help="whose key it is, such as shop")
    create.add_argument(
        "--scopes",
        required=True,
        type=_scopes,
        help=f"what it may do, with commas between them: {', '.join(SCOPES)}",
    )
    create.add_argument("--expires", metavar="TIME", type=_time, help="how long it works, such as 90d or 12h")
    create.add_argument("--rate", type=_rate, help="how many requests a second it may send, such as 100/s")
    rotate = actions.add(
        "rotate",
        "print a new key in place of one; both work until the overlap is over",
        lambda config, options: asyncio.run(_rotate(config, options)),
        cannot="rotate a key",
    )
    rotate.add_argument("name", metavar="NAME", type=_name)
    rotate.add_argument(
        "--overlap", metavar="TIME", type=_time, default=timedelta(hours=24), help="24h unless it is given"
    )
    revoke = actions.add(
        "revoke",
        "end all keys by that name, within a second",
        lambda config, options: asyncio.run(_revoke(config, options.name)),
        cannot="revoke a key",
    )
    revoke.add_argument("name", metavar="NAME", type=_name)


def _name(text: str) -> str:
    if re.fullmatch("[A-Za-z0-9._-]{1,45}", text):
        return text
    raise argparse.ArgumentTypeError("expected 1 to 45 letters, digits, dots, underscores or hyphens")


def _scopes(text: str) -> list[str]:
    named = text.split(",")
    if unknown := [scope for scope in named if scope not in SCOPES]:
        raise argparse.ArgumentTypeError(f"there is no scope {unknown[0]!r}. The scopes are {', '.join(SCOPES)}")
    return [scope for scope in SCOPES if scope in named]


def _time(text: str) -> timedelta:
    if re.fullmatch("[1-9][0-9]{0,3}[mhd]", text):
        return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    raise argparse.ArgumentTypeError("expected minutes, hours or days, such as 30m, 24h or 90d")


def _rate(text: str) -> int:
    if re.fullmatch("[1-9][0-9]{0,5}/s", text):
        return int(text.removesuffix("/s"))
    raise argparse.ArgumentTypeError("expected requests a second, such as 100/s")


async def _list(config: Config) -> int:
    """Print the keys, oldest first, one a line."""
    async with ready_database(config) as database:
        now = await service_time(database)
        for key in await list_keys(database):
            if key.revoked_at is not None:
                state = f"revoked at {key.revoked_at:%Y-%m-%dT%H:%M:%SZ}"
            elif key.expires_at is not None:
                state = f"{'expires' if key.works(now) else 'expired'} at {key.expires_at:%Y-%m-%dT%H:%M:%SZ}"
            else:
                state = "works"
            rate = f", {key.rate_per_second}/s" if key.rate_per_second else ""
            print(f"{key.name} {key.key_id} of {key.created_at:%Y-%m-%dT%H:%M:%SZ}, {state}{rate}: {key.scopes}")
    return 0


async def _create(config: Config, options: Options) -> int:
    async with ready_database(config) as database:
        print(
            await create_key(
                database,
                options.name,
                options.scopes,
                await service_time(database),
                rate_per_second=options.rate,
                lifetime=options.expires,
            )
        )
    return 0


async def _rotate(config: Config, options: Options) -> int:
    async with ready_database(config) as database:
        print(await rotate_key(database, options.name, options.overlap, await service_time(database)))
    return 0


async def _revoke(config: Config, name: str) -> int:
    async with ready_database(config) as database:
        await revoke_keys(database, name, await service_time(database))
    print(f"No key by the name {name} works any more.")
    return 0
