"""`myaccount events`: lists what is to be delivered and the dead letters, and resends or drops them."""

import argparse
import asyncio
import re
import sys
from collections.abc import Collection
from typing import Final

from ..outbox.dead_letters import ALL, drop_named, list_undelivered, resend_named
from ..settings.loading import callbacks_of
from ..settings.schema import Config
from ..webhooks.deliveries import disabled_endpoints, hosts_by_endpoint
from .arguments import Commands, Options
from .ready_database import ready_database

_ONE: Final = "one row (event-3, delivery-7), an endpoint (all its deliveries)"


def add_commands(commands: Commands) -> None:
    events = commands.add(
        "events",
        "list the pending events and deliveries, and the dead letters with their errors; resend or drop them",
        lambda config, options: asyncio.run(_list(config)),
        cannot="show the events",
    )
    actions = Commands(events)
    resend = actions.add(
        "resend",
        "send again what is named",
        lambda config, options: asyncio.run(_resend(config, options.name, options.to)),
        cannot="send events again",
        find_misuse=_find_misuse,
    )
    resend.add_argument(
        "name",
        metavar="NAME",
        type=_name,
        help=f"{_ONE}, or all (dead letters, and deliveries that a wrong clock scheduled more than a day ahead)",
    )
    resend.add_argument(
        "--to",
        metavar="ENDPOINT",
        type=_name,
        help="move the deliveries to this endpoint; NAME must be an endpoint or a delivery",
    )
    drop = actions.add(
        "drop",
        "delete what is named, for good",
        lambda config, options: asyncio.run(_drop(config, options.name)),
        cannot="drop events",
    )
    drop.add_argument("name", metavar="NAME", type=_name, help=f"{_ONE}, or all (dead letters)")


def _find_misuse(options: Options) -> str:
    if options.to and re.fullmatch("all|event-[0-9]+", options.name):
        return "--to needs the name of an endpoint or a delivery"
    return ""


def _name(text: str) -> str:
    if re.fullmatch("(event|delivery)-[0-9]{1,18}|[A-Za-z0-9._-]{1,16}", text):
        return text
    raise argparse.ArgumentTypeError("expected all, or a name that the list has, such as delivery-7 or shop")


async def _list(config: Config) -> int:
    """Print the pending events and deliveries, the dead letters and the disabled endpoints, one a line."""
    hosts = hosts_by_endpoint(callbacks_of(config))
    pending = dead_letters = 0
    async with ready_database(config) as database:
        async for row in list_undelivered(database):
            if row.due_at is None:
                dead_letters += 1
                state = f"dead letter after {_attempts(row.attempts)}"
            else:
                pending += 1
                state = f"{_attempts(row.attempts)}, next at {row.due_at:%Y-%m-%dT%H:%M:%SZ}"
            # Not the address, which may hold a password.
            host = hosts.get(row.endpoint or "", "no longer configured")
            target = f" to {row.endpoint} ({host})" if row.endpoint else ""
            reason = f": {row.error}" if row.error else ""
            print(f"{row.name} of {row.created_at:%Y-%m-%dT%H:%M:%SZ}{target}, {state}{reason}")
        for endpoint in sorted(await database.read(disabled_endpoints)):
            print(f"{endpoint} is disabled (410): `myaccount events resend {endpoint}` enables it.")
    print(f"{pending} pending, {dead_letters} dead letter{'' if dead_letters == 1 else 's'}.")
    return 0


def _attempts(count: int) -> str:
    return f"{count} attempt{'' if count == 1 else 's'}"


async def _resend(config: Config, name: str, to: str | None) -> int:
    """Make what is named due now, for another endpoint if one is given; return 1 if the name is unknown."""
    endpoints = hosts_by_endpoint(callbacks_of(config))
    if to is not None and to not in endpoints:
        print(
            f"The configuration has no endpoint {to}. It has: {', '.join(endpoints) or 'none'}.", file=sys.stderr
        )
        return 1
    async with ready_database(config) as database:
        count, enabled = await resend_named(database, name, to)
    if enabled:
        print(f"{name} is enabled." if count else f"{name} is enabled. It had no deliveries.")
    return 0 if enabled and not count else _print_count(name, count, "sent again", endpoints)


async def _drop(config: Config, name: str) -> int:
    """Delete what is named; return 1 if the name is unknown."""
    async with ready_database(config) as database:
        count = await drop_named(database, name)
    return _print_count(name, count, "dropped", hosts_by_endpoint(callbacks_of(config)))


def _print_count(name: str, count: int, done: str, endpoints: Collection[str]) -> int:
    if count or name == ALL:
        print(f"{count} {done}.")
        return 0
    if name in endpoints:
        print(f"{name} has no deliveries.")
        return 0
    print(f"There is nothing by the name {name}.", file=sys.stderr)
    return 1
