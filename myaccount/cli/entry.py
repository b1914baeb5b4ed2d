"""The command line, and what stands for it where there is none."""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from trafaret_config.commandline import standard_argparse_options

from ..database.backup import BackupFailed
from ..database.not_ready import DatabaseNotReady
from ..errors import Unavailable
from ..main import create_app, create_listener
from ..observability.log_setup import close_log_file, set_up_logging
from ..serving import Runner, refuse_taken, serve
from ..settings.loading import (
    DEFAULT_FILE,
    WrongConfiguration,
    load_configuration,
    load_configuration_of,
    own_address,
    variables_of,
)
from ..settings.paths import own_version, working_path
from ..settings.schema import Config
from ..system.output import output_fault, print_any_letters
from ..system.private_files import keep_made, remove_made
from .check_command import check
from .database_commands import backup, drop, print_differences, print_waiting, resend
from .migrate_command import migrate, print_script, print_status

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

CONFIG_VARIABLE = "MYACCOUNT_CONFIG"

WELCOME = """\
MyAccount serves on {address}
Its money is kept in {data}, its events go through {queue}.
Try the pages at {address}/ or, from another window:
  curl -d 'userId=u1&userName=Alice&sex=F&cardNum=6222020001&accountId=a1&accountType=01' {address}/openacc
  curl -d 'orderId=r1&userId=u1&amount=100' {address}/recharge
  curl -d userId=u1 {address}/queryacc
Ctrl-C ends it."""

COMMANDS = """\
what to do:
  serve     serve until SIGTERM or Ctrl-C (the default)
  listen    tell what was committed until SIGTERM or Ctrl-C, without HTTP
  migrate   bring the database's schema to this program's version: before the first start, and after an upgrade
  events    list what waits to be delivered and what was set aside, with the error; send it again, or drop it
  backup    copy the embedded database to a new FILE while the service goes on
  check     see that a service can start: the configuration, the database, its schema; and warn of taken
            ports, and of Redis or callback receivers that do not answer
  verify    verify that the books balance: exit status 1 if they do not, 2 if that cannot be told"""

# What each cannot do when it fails.
COMMAND_NAMES = {
    "serve": "serve",
    "listen": "listen",
    "migrate": "migrate",
    "events": "show the events",
    "backup": "back up the database",
    "check": "start",
    "verify": "verify the books",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    what, failed, status = "start", 1, 0
    fault: object
    print_any_letters()
    try:
        options = _parse(arguments)
        what = COMMAND_NAMES[options.command]
        if options.resend or options.drop:
            what = "send events again" if options.resend else "drop events"
        failed = 2 if options.command == "verify" else 1
        status = _do(options)
        fault = output_fault()
    except SystemExit:
        fault = output_fault()
        if not fault:
            raise
    except KeyboardInterrupt:
        # Before it served, or in a command that does not.
        return 130
    except OSError as error:
        fault = output_fault(error) or error
    except Unavailable as error:
        fault = error.cause
    except (WrongConfiguration, DatabaseNotReady, BackupFailed) as error:
        fault = error
    if fault:
        print(f"myaccount cannot {what}: {fault}", file=sys.stderr)
        return failed
    return status


class _Parser(argparse.ArgumentParser):
    """A parser whose help raises OSError when it cannot be written: newer Pythons' own ignores that."""

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        print(self.format_help(), end="", file=file)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="myaccount",
        description="A wallet ledger service.",
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    standard_argparse_options(parser, default_config=os.environ.get(CONFIG_VARIABLE, str(DEFAULT_FILE)))
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("command", nargs="?", choices=tuple(COMMAND_NAMES), default="serve")
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="with backup: the file to write")
    parser.add_argument(
        "--resend",
        metavar="NAME",
        type=_name,
        help="with events: send again what is named: one row (event-3, delivery-7), an endpoint (all that it is "
        "owed), or all (what was set aside, and what is due later than in a day, since a clock was wrong)",
    )
    parser.add_argument(
        "--to",
        metavar="ENDPOINT",
        type=_name,
        help="with --resend: send it to this endpoint instead of the one that it was for",
    )
    parser.add_argument(
        "--drop",
        metavar="NAME",
        type=_name,
        help="with events: delete what is named, for good: one row, an endpoint, or all (what was set aside)",
    )
    parser.add_argument(
        "--process",
        metavar="NUMBER",
        type=_number,
        help="with serve: which of several processes this is. It has the file config-NUMBER.yaml if there is one "
        "beside config.yaml, or else the ports so many above the file's",
    )
    looks = parser.add_mutually_exclusive_group()
    looks.add_argument("--status", action="store_true", help="with migrate: tell the versions, and change nothing")
    looks.add_argument("--sql", action="store_true", help="with migrate: print what it would run, and run nothing")
    options = parser.parse_args(arguments)
    if (options.status or options.sql) and options.command != "migrate":
        parser.error("--status and --sql go with the command migrate")
    if (options.resend or options.drop) and options.command != "events":
        parser.error("--resend and --drop go with the command events")
    if options.resend and options.drop:
        parser.error("--resend and --drop do not go together")
    if options.to and not re.fullmatch(r"(?!all$|event-[0-9]+$).+", options.resend or "all"):
        parser.error("--to goes with --resend and an endpoint or a delivery")
    if (options.file is None) == (options.command == "backup"):
        parser.error("the command backup, and no other, takes the FILE to write")
    if options.process is not None and options.command != "serve":
        parser.error("--process goes with the command serve")
    return options


def runner_from_environment() -> Runner:
    """Return the service that the environment configures, for a server that has its own command line."""
    config = load_configuration(os.environ.get(CONFIG_VARIABLE, DEFAULT_FILE), os.environ)
    set_up_logging(config)
    # The master has seen that all is in place; a worker that comes later goes on without what is away meanwhile.
    return Runner(create_app(config, database_needed=False))


def _do(options: argparse.Namespace) -> int:
    if options.version:
        print(f"MyAccount {own_version()}")
        return 0
    if options.print_config_vars:
        print("\n".join(sorted(variables_of(options.config, os.environ))))
        return 0
    config = load_configuration_of(options.process, options.config, os.environ)
    if options.print_config:
        yaml.dump(config, sys.stdout, default_flow_style=False)
    if options.print_config or options.check_config:
        return 0
    if options.command == "check":
        return asyncio.run(check(config))
    if options.command == "backup":
        return backup(config, options.file)
    if options.command == "verify":
        return asyncio.run(print_differences(config))
    if options.command == "migrate":
        do = print_status if options.status else print_script if options.sql else migrate
        return asyncio.run(do(config))
    if options.command == "events":
        if options.resend:
            return asyncio.run(resend(config, options.resend, options.to))
        return asyncio.run(drop(config, options.drop) if options.drop else print_waiting(config))
    # Before anything is begun: a standard output that cannot be written is refused here.
    print(f"MyAccount {own_version()} starts.", flush=True)
    try:
        asyncio.run(_serve(config, listens_only=options.command == "listen", alone=options.process is None))
    except BaseException:
        # Windows removes no file that is open.
        close_log_file()
        remove_made()
        raise
    # It has served. That its output could not be written any more was logged meanwhile.
    output_fault()
    return 0


async def _serve(config: Config, *, listens_only: bool, alone: bool) -> None:
    """Serve until a signal. Nothing that this makes stays if it does not start."""
    addresses = [] if listens_only else [(config["host"], config["port"])]
    for host, port in addresses:
        await refuse_taken("", host, port)
    if "metrics" in config:
        await refuse_taken("metrics.", config["metrics"]["host"], config["metrics"]["port"])
    set_up_logging(config, alone=alone and not listens_only)
    app = create_listener(config) if listens_only else create_app(config)
    greeting = f"MyAccount listens to {_queue(config)}. Ctrl-C ends it." if listens_only else _welcome(config)

    def started() -> None:
        keep_made()
        print(greeting, flush=True)

    await serve(app, addresses, started)


def _name(text: str) -> str:
    if re.fullmatch("(event|delivery)-[0-9]{1,18}|[A-Za-z0-9._-]{1,16}", text):
        return text
    raise argparse.ArgumentTypeError("expected all, or a name that the list has, such as delivery-7 or shop")


def _number(text: str) -> int:
    if re.fullmatch("[0-9]{1,3}", text):
        return int(text)
    raise argparse.ArgumentTypeError("expected a number from 0 to 999")


def _welcome(config: Config) -> str:
    if "mysql" in config:
        mysql = config["mysql"]
        data = f"the database {mysql['db']} at {mysql['host']}:{mysql['port']}"
    else:
        data = str(working_path(config["sqlite_file"]))
    return WELCOME.format(address=own_address(config), data=data, queue=_queue(config))


def _queue(config: Config) -> str:
    if "redis" in config:
        return f"Redis at {config['redis']['host']}:{config['redis']['port']}"
    return "a queue in this process"
