"""The command line, and what stands for it where there is none."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from aiohttp import web
from trafaret_config.commandline import config_from_options, standard_argparse_options

from .configuration import CONFIGURATION, DEFAULT_FILE, Config, WrongConfiguration, load_configuration, own_address
from .ledger.errors import Unavailable
from .logsetup import set_up_logging
from .main import create_app
from .resources import working_path
from .service.verification import verify_books
from .store.database import open_database
from .store.schema import DatabaseNotReady, prepare_schema

CONFIG_VARIABLE = "MYACCOUNT_CONFIG"

WELCOME = """\
MyAccount serves on {address}
Its money is kept in {data}, its events go through {queue}.
Try the pages at {address}/ or, from another window:
  curl -d 'userId=u1&userName=Alice&sex=F&cardNum=6222020001&accountId=a1&accountType=01' {address}/openacc
  curl -d 'orderId=r1&userId=u1&amount=100' {address}/recharge
  curl -d userId=u1 {address}/queryacc
Ctrl-C ends it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="myaccount", description="A wallet ledger service.")
    standard_argparse_options(parser, default_config=os.environ.get(CONFIG_VARIABLE, str(DEFAULT_FILE)))
    parser.add_argument(
        "command",
        nargs="?",
        choices=("serve", "verify"),
        default="serve",
        help="serve until SIGTERM or Ctrl-C (the default); or verify that the books balance: exit status 1 if "
        "they do not, 2 if that cannot be told",
    )
    options = parser.parse_args(arguments)
    try:
        if options.print_config_vars:
            config_from_options(options, CONFIGURATION)
        config = load_configuration(options.config, os.environ)
        if options.print_config or options.check_config:
            config_from_options(options, CONFIGURATION)
        if options.command == "verify":
            return asyncio.run(_verify(config))
        _serve(config)
    except (WrongConfiguration, DatabaseNotReady, Unavailable, OSError) as error:
        print(f"myaccount cannot {options.command}: {error}", file=sys.stderr)
        return 2 if options.command == "verify" else 1
    return 0


def application_from_environment() -> web.Application:
    """Return the service that the environment configures, for a server that has its own command line."""
    config = load_configuration(os.environ.get(CONFIG_VARIABLE, DEFAULT_FILE), os.environ)
    set_up_logging(config["log_level"])
    return create_app(config)


def _serve(config: Config) -> None:
    set_up_logging(config["log_level"], working_path(config["log_folder"]))
    web.run_app(
        create_app(config),
        host=config["host"],
        port=config["port"],
        # The middleware writes the line a request, with its id.
        access_log=None,
        print=lambda _: print(_welcome(config), flush=True),
    )


async def _verify(config: Config) -> int:
    """Print each difference in the books; return 1 if there is one."""
    differences = 0
    async with open_database(config, working_path(config["sqlite_file"])) as database:
        await prepare_schema(database, embedded="mysql" not in config)
        async for difference in verify_books(database, _show_progress):
            print(difference)
            differences += 1
    print(f"{differences} differences." if differences else "The books balance.")
    return 1 if differences else 0


def _show_progress(done: int, count: int) -> None:
    """Draw a bar where somebody looks."""
    if sys.stderr.isatty():
        bar = "#" * (40 * done // count)
        print(f"\r[{bar:40}] {done} of {count} accounts", end="" if done < count else "\n", file=sys.stderr)


def _welcome(config: Config) -> str:
    if "mysql" in config:
        mysql = config["mysql"]
        data = f"the database {mysql['db']} at {mysql['host']}:{mysql['port']}"
    else:
        data = str(working_path(config["sqlite_file"]))
    if "redis" in config:
        queue = f"Redis at {config['redis']['host']}:{config['redis']['port']}"
    else:
        queue = "a queue in this process"
    return WELCOME.format(address=own_address(config), data=data, queue=queue)
