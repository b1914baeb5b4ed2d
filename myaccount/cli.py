"""The command line, and what stands for it where there is none."""

import argparse
import os
import sys
from collections.abc import Sequence

from aiohttp import web
from trafaret_config.commandline import config_from_options, standard_argparse_options

from .configuration import CONFIGURATION, DEFAULT_FILE, Config, WrongConfiguration, load_configuration, own_address
from .logsetup import set_up_logging
from .main import create_app
from .resources import working_path
from .store.schema import DatabaseNotReady

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
    """Serve until SIGTERM or Ctrl-C; return the exit status."""
    parser = argparse.ArgumentParser(prog="myaccount", description="A wallet ledger service.")
    standard_argparse_options(parser, default_config=os.environ.get(CONFIG_VARIABLE, str(DEFAULT_FILE)))
    options = parser.parse_args(arguments)
    try:
        if options.print_config_vars:
            config_from_options(options, CONFIGURATION)
        config = load_configuration(options.config, os.environ)
        if options.print_config or options.check_config:
            config_from_options(options, CONFIGURATION)
        _serve(config)
    except (WrongConfiguration, DatabaseNotReady, OSError) as error:
        print(f"myaccount cannot start: {error}", file=sys.stderr)
        return 1
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
