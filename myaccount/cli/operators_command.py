"""`myaccount operators`: lists operators, adds and removes them, and sets passwords and roles."""

import argparse
import asyncio
import getpass
import sys
from typing import Final

from ..access.audit_rows import COMMAND_LINE
from ..access.operators.operator_rows import (
    OperatorRefused,
    add_operator,
    change_password,
    change_role,
    is_name,
    list_operators,
    remove_operator,
)
from ..access.operators.passwords import LEAST_LENGTH, PasswordRefused, check_new, hash_password
from ..access.scopes import ROLES
from ..access.signing import service_time
from ..settings.schema import Config
from .arguments import Commands, Options
from .ready_database import ready_database

_PASSWORD: Final = (
    f"asks for the password: at least {LEAST_LENGTH} characters, from standard input if it is no terminal"
)


def add_commands(commands: Commands) -> None:
    operators = commands.add(
        "operators",
        "list the operators, who sign in at /signin; add or remove them, set passwords and roles",
        lambda config, options: asyncio.run(_list(config)),
        cannot="show the operators",
    )
    actions = Commands(operators)
    actions.add(
        "list",
        "list the operators",
        lambda config, options: asyncio.run(_list(config)),
        cannot="show the operators",
    )
    add = actions.add(
        "add",
        f"add an operator; {_PASSWORD}",
        lambda config, options: asyncio.run(_add(config, options)),
        cannot="add an operator",
    )
    add.add_argument("name", metavar="NAME", type=_name)
    add.add_argument("--role", required=True, choices=list(ROLES), help="what the operator may do")
    password = actions.add(
        "password",
        f"set an operator's password, and end the operator's sessions; {_PASSWORD}",
        lambda config, options: asyncio.run(_password(config, options.name)),
        cannot="set the password",
    )
    password.add_argument("name", metavar="NAME", type=_name)
    role = actions.add(
        "role",
        "set what an operator may do, and end the operator's sessions",
        lambda config, options: asyncio.run(_role(config, options)),
        cannot="set the role",
    )
    role.add_argument("name", metavar="NAME", type=_name)
    role.add_argument("role", metavar="ROLE", choices=list(ROLES), help=", ".join(ROLES))
    remove = actions.add(
        "remove",
        "remove an operator, and end the operator's sessions",
        lambda config, options: asyncio.run(_remove(config, options.name)),
        cannot="remove an operator",
    )
    remove.add_argument("name", metavar="NAME", type=_name)


def _name(text: str) -> str:
    if is_name(text):
        return text
    raise argparse.ArgumentTypeError(
        "expected 1 to 45 letters, digits, dots, underscores or hyphens, and not what the id of a key looks like: "
        "12 small letters and digits"
    )


def _new_password() -> str:
    """Return the hash of a password that the person writes. Raises PasswordRefused."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        check_new(password)
        if getpass.getpass("Once more: ") != password:
            raise PasswordRefused("it was not written the same way twice.")
    else:
        password = sys.stdin.readline().removesuffix("\n")
        check_new(password)
    return hash_password(password)


async def _list(config: Config) -> int:
    """Print the operators by name, one a line."""
    async with ready_database(config) as database:
        for operator in await list_operators(database):
            print(f"{operator.name} of {operator.created_at:%Y-%m-%dT%H:%M:%SZ}, {operator.role}")
    return 0


async def _add(config: Config, options: Options) -> int:
    async with ready_database(config) as database:
        if options.name in [operator.name for operator in await list_operators(database)]:
            # Before the person writes a password.
            raise OperatorRefused(f"there is an operator by the name {options.name}.")
        password_hash, now = _new_password(), await service_time(database)
        await add_operator(database, options.name, options.role, password_hash, now, COMMAND_LINE)
    print(f"{options.name} may sign in at /signin.")
    return 0


async def _password(config: Config, name: str) -> int:
    async with ready_database(config) as database:
        await change_password(database, name, _new_password(), await service_time(database), COMMAND_LINE)
    print(f"{name} has a new password.")
    return 0


async def _role(config: Config, options: Options) -> int:
    async with ready_database(config) as database:
        await change_role(database, options.name, options.role, await service_time(database), COMMAND_LINE)
    print(f"{options.name} is {options.role}.")
    return 0


async def _remove(config: Config, name: str) -> int:
    async with ready_database(config) as database:
        await remove_operator(database, name, await service_time(database), COMMAND_LINE)
    print(f"{name} may not sign in any more.")
    return 0
