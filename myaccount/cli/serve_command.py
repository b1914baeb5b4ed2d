"""`myaccount serve` and `myaccount listen`, which run until a signal, and what gunicorn's workers run."""

import argparse
import asyncio
import os
import re
from typing import Final

from ..main import create_app, create_listener
from ..observability.log_setup import close_log_file, set_up_logging, write_out_log
from ..serving import GracefulRunner, refuse_taken, serve
from ..settings.loading import default_file, load_configuration, own_address
from ..settings.paths import own_version, working_path
from ..settings.schema import Config
from ..settings.servers import server_address
from ..system.output import output_fault
from ..system.private_files import keep_made, remove_made
from .arguments import Commands, Options

WELCOME: Final = """\
MyAccount serves on {address}
Its money is kept in {data}, its events go through {queue}.
Try the pages at {address}/ or, from another window:
  curl -d 'userId=u1&userName=Alice&sex=F&cardNum=6222020001&accountId=a1&accountType=01' {address}/openacc
  curl -d 'orderId=r1&userId=u1&amount=100' {address}/recharge
  curl -d userId=u1 {address}/queryacc
Ctrl-C ends it."""


def add_commands(commands: Commands) -> None:
    serve = commands.add("serve", "serve until SIGTERM or Ctrl-C (the default)", _serve, cannot="serve")
    serve.add_argument(
        "--process",
        metavar="NUMBER",
        type=_number,
        help="this process's number, when several share a configuration. It uses config-NUMBER.yaml beside "
        "config.yaml if that exists; otherwise NUMBER is added to each port",
    )
    commands.add(
        "listen", "deliver committed events until SIGTERM or Ctrl-C, without HTTP", _listen, cannot="listen"
    )


def runner_from_environment() -> GracefulRunner:
    """Return the service that the environment configures, for a server that has its own command line."""
    config = load_configuration(default_file(os.environ), os.environ)
    set_up_logging(config)
    # The master has checked the database. A worker that starts later serves without it until it is back.
    return GracefulRunner(create_app(config, database_needed=False))


def _serve(config: Config, options: Options) -> int:
    return _run(config, listens_only=False, alone=options.process is None)


def _listen(config: Config, options: Options) -> int:
    return _run(config, listens_only=True, alone=False)


def _run(config: Config, *, listens_only: bool, alone: bool) -> int:
    # First, so that a standard output that cannot be written is refused before anything is made.
    print(f"MyAccount {own_version()} starts.", flush=True)
    try:
        asyncio.run(_serve_until_signal(config, listens_only=listens_only, alone=alone))
    except BaseException:
        # Windows removes no file that is open.
        close_log_file()
        remove_made()
        raise
    # It has served. An output that could not be written any more has been logged.
    write_out_log()
    output_fault()
    return 0


async def _serve_until_signal(config: Config, *, listens_only: bool, alone: bool) -> None:
    """Serve until a signal. A start that fails leaves no file behind."""
    addresses = [] if listens_only else [(config["host"], config["port"])]
    for host, port in addresses:
        await refuse_taken("", host, port)
    if "metrics" in config:
        await refuse_taken("metrics.", config["metrics"]["host"], config["metrics"]["port"])
    set_up_logging(config, alone=alone)
    app = create_listener(config) if listens_only else create_app(config)
    greeting = f"MyAccount listens to {_queue(config)}. Ctrl-C ends it." if listens_only else _welcome(config)

    def started() -> None:
        keep_made()
        print(greeting, flush=True)

    await serve(app, addresses, started)


def _number(text: str) -> int:
    if re.fullmatch("[0-9]{1,3}", text):
        return int(text)
    raise argparse.ArgumentTypeError("expected a number from 0 to 999")


def _welcome(config: Config) -> str:
    if "mysql" in config:
        data = f"the database {config['mysql']['db']} at {server_address(config['mysql'])}"
    else:
        data = str(working_path(config["sqlite_file"]))
    return WELCOME.format(address=own_address(config), data=data, queue=_queue(config))


def _queue(config: Config) -> str:
    if "redis" in config:
        return f"Redis at {server_address(config['redis'])}"
    return "a queue in this process"
