"""The command line's entry point: it runs a command, and turns errors into one line and an exit status."""

import os
import sys
from collections.abc import Sequence

import yaml

from ..access.key_rows import KeyRefused
from ..access.operators.operator_rows import OperatorRefused
from ..access.operators.passwords import PasswordRefused
from ..database.backup import BackupFailed
from ..database.start_errors import DatabaseNotReady, MigrationNeeded
from ..errors import Unavailable
from ..settings.loading import WrongConfiguration, load_configuration_of, variables_of
from ..system.output import output_fault, print_any_letters
from . import (
    audit_command,
    backup_command,
    check_command,
    events_command,
    keys_command,
    migrate_command,
    operators_command,
    serve_command,
    verify_command,
)
from .arguments import Commands, Options, parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; return the exit status."""
    cannot, failed, status = "start", 1, 0
    fault: object
    print_any_letters()
    try:
        options = parse(arguments, add_commands)
        cannot, failed = options.cannot, options.failed
        status = _run(options)
        fault = output_fault()
    except SystemExit:
        fault = output_fault()
        if not fault:
            raise
    except KeyboardInterrupt:
        # Ctrl-C before the service has started, or in another command.
        return 130
    except OSError as error:
        fault = output_fault(error) or error
    except Unavailable as error:
        fault = error.cause
    except (
        WrongConfiguration,
        DatabaseNotReady,
        BackupFailed,
        KeyRefused,
        OperatorRefused,
        PasswordRefused,
    ) as error:
        fault = error
    if fault:
        print(f"myaccount cannot {cannot}: {fault}", file=sys.stderr)
        return failed
    return status


def add_commands(commands: Commands) -> None:
    """Add all commands, in the order of the help."""
    for module in (
        serve_command,
        migrate_command,
        events_command,
        keys_command,
        operators_command,
        audit_command,
        backup_command,
        check_command,
        verify_command,
    ):
        module.add_commands(commands)


def _run(options: Options) -> int:
    if options.print_config_vars:
        print("\n".join(sorted(variables_of(options.config, os.environ))))
        return 0
    config = load_configuration_of(options.process, options.config, os.environ)
    if options.print_config:
        yaml.dump(config, sys.stdout, default_flow_style=False)
    if options.print_config or options.check_config:
        return 0
    try:
        status: int = options.run(config, options)
    except MigrationNeeded as error:
        raise DatabaseNotReady(f"{str(error).removesuffix('FILE')}{options.config}") from None
    return status
