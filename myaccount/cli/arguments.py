"""Parses the command line: the options of every command, the commands, and earlier spellings of them."""

import argparse
import os
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from ..settings.loading import default_file
from ..settings.paths import own_version
from ..settings.schema import Config

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

Options = argparse.Namespace
Run = Callable[[Config, Options], int]

DEFAULT_COMMAND: Final = "serve"


class Parser(argparse.ArgumentParser):
    """A parser whose help raises OSError when it cannot be written. Newer Pythons ignore that error."""

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        print(self.format_help(), end="", file=file)


class Commands:
    """The commands of a parser."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        parser.usage = f"{parser.prog} [options] [COMMAND] ..."
        self._parser = parser
        self._parsers = parser.add_subparsers(metavar="COMMAND", title="commands", prog=parser.prog)

    def add(
        self,
        name: str,
        summary: str,
        run: Run,
        *,
        cannot: str,
        failed: int = 1,
        find_misuse: Callable[[Options], str] | None = None,
    ) -> argparse.ArgumentParser:
        """Add a command, and return its parser for the command's own options.

        `run` returns the exit status. If it raises, the status is `failed`, and the message begins with "myaccount
        cannot " and `cannot`. `find_misuse` returns why the options do not go together, or an empty text.
        """
        description = f"{summary[0].upper()}{summary[1:]}."
        parser = self._parsers.add_parser(name, help=summary, description=description, parents=[_common_options()])
        parser.set_defaults(
            run=run, cannot=cannot, failed=failed, find_misuse=find_misuse, parser=parser, process=None
        )
        return parser

    def refuse_unknown(self, name: str) -> None:
        """Exit with status 2 if there is no command by that name; name the nearest one."""
        if name not in self._parsers.choices:
            nearest = get_close_matches(name, self._parsers.choices, 1)
            question = f": did you mean {nearest[0]}?" if nearest else "."
            self._parser.error(
                f"there is no command {name}{question} The commands are {', '.join(self._parsers.choices)}"
            )


def parse(arguments: Sequence[str] | None, add_commands: Callable[[Commands], None]) -> Options:
    """Return the options and the command's `run`, `cannot` and `failed`. Exits with status 2 on a wrong line.

    The common options may stand before and after the command.
    """
    common, rest = _common_options().parse_known_args(arguments)
    if common.version:
        # Also if the rest of the command line is wrong.
        print(f"MyAccount {own_version()}")
        raise SystemExit
    parser = Parser(prog="myaccount", description="A wallet ledger service.", parents=[_common_options()])
    commands = Commands(parser)
    add_commands(commands)
    words = _command_first(rest)
    if words and not words[0].startswith("-"):
        commands.refuse_unknown(words[0])
    options = parser.parse_args(words)
    # A command's parser has set the common options to their defaults.
    vars(options).update(vars(common))
    if options.find_misuse and (misuse := options.find_misuse(options)):
        options.parser.error(misuse)
    return options


def _common_options() -> Parser:
    parser = Parser(prog="myaccount", add_help=False)
    group = parser.add_argument_group("options of every command")
    # As trafaret_config's standard_argparse_options, whose help has another style.
    default = default_file(os.environ)
    group.add_argument(
        "-c", "--config", metavar="FILE", default=default, help="the configuration file (default: %(default)s)"
    )
    group.add_argument(
        "--print-config", action="store_true", help="print the configuration as it is read, and exit"
    )
    group.add_argument(
        "--print-config-vars",
        action="store_true",
        help="print the names of the environment variables that the configuration file uses, and exit",
    )
    group.add_argument("-C", "--check-config", action="store_true", help="check the configuration, and exit")
    group.add_argument("--version", action="store_true", help="print the version and exit")
    return parser


def _command_first(words: Sequence[str]) -> list[str]:
    """Return the words in today's order and spelling: the command first, `events resend NAME` for `--resend NAME`.

    Earlier versions took options before the command, and `--resend` and `--drop` as options.
    """
    parser = Parser(prog="myaccount", add_help=False)
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--resend", metavar="NAME")
    actions.add_argument("--drop", metavar="NAME")
    # Parsed here so that their values are not taken for the command.
    parser.add_argument("--to", metavar="ENDPOINT")
    parser.add_argument("--process", metavar="NUMBER")
    found, rest = parser.parse_known_args(words)
    options = {name: value for name, value in vars(found).items() if value is not None}

    command = next((word for word in rest if not word.startswith("-")), None)
    if command is not None:
        rest.remove(command)
    elif {"-h", "--help"} & set(rest):
        # The help of all commands.
        return rest
    action: list[str] = []
    if command == "events" and (old := next(iter({"resend", "drop"} & options.keys()), None)):
        action = [old]
        # A name may begin with a hyphen.
        rest += ["--", options.pop(old)]
    end = rest.index("--") if "--" in rest else len(rest)
    rest[end:end] = [f"--{option}={value}" for option, value in options.items()]
    return [command or DEFAULT_COMMAND, *action, *rest]
