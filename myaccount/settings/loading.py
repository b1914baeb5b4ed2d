"""The configuration: a YAML file, checked before anything starts.

`${NAME}` in a value is replaced by the environment variable of that name.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import yaml
from trafaret_config import ConfigError, parse_and_validate
from trafaret_config.simple import ConfigLoader
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.parser import ParserError

from ..ledger.changes import ACCOUNT_OPENED
from ..system.addresses import address_text
from .paths import resource
from .schema import CONFIGURATION, HIGHEST_PORT, CallbackConfig, Config

# The environment variable that names the configuration file, if not the shipped one.
CONFIG_VARIABLE: Final = "MYACCOUNT_CONFIG"
DEFAULT_FILE: Final = resource("config/config.yaml")

_SPECIAL: Final = (
    "a value that begins with a special character must be in quotes, and lines begin with spaces, not tabs"
)
# What trafaret says of a fault, said so that it tells what was expected.
_EXPECTED: Final = {
    "value is not a dict": "expected keys with their values",
    "value is not a list": "expected a list",
    "found character that cannot start any token": _SPECIAL,
}


class WrongConfiguration(Exception):
    """The configuration cannot be used; the text says which file, line and key, and what was expected."""


def default_file(environment: Mapping[str, str]) -> str:
    """Return the configuration file that is used when the command line names none."""
    return environment.get(CONFIG_VARIABLE, str(DEFAULT_FILE))


def load_configuration_of(number: int | None, file: str | Path, environment: Mapping[str, str]) -> Config:
    """Return the configuration of one of several processes, which share a file, by its number.

    A file of its own beside the shared one, `config-<number>.yaml` for `config.yaml`, is taken as it stands.
    Without one, the process has the ports so many above the shared file's.
    """
    if number is None:
        return load_configuration(file, environment)
    own = Path(file).with_stem(f"{Path(file).stem}-{number}")
    config = load_configuration(own if own.exists() else file, environment)
    if "mysql" not in config:
        raise WrongConfiguration(f"{file}: mysql: the embedded file has one process; several need a server")
    if own.exists():
        return config
    for section in (config, *([config["metrics"]] if "metrics" in config else [])):
        section["port"] += number
        if section["port"] > HIGHEST_PORT:
            raise WrongConfiguration(f"{file}: port: process {number} would have the port {section['port']}")
    return config


def own_address(config: Config) -> str:
    """Return the address at which the configuration says that the service answers."""
    return f"http://{address_text(config['host'], config['port'])}"


def callbacks_of(config: Config) -> list[CallbackConfig]:
    """Return who is told of what; if the configuration does not say, the service itself of each opening."""
    default: CallbackConfig = {
        "url": f"{own_address(config)}/opeacclistentest",
        "events": [ACCOUNT_OPENED],
        "timeout_seconds": 5.0,
        "trust_env": False,
    }
    return config.get("callbacks", [default])


def load_configuration(file: str | Path, environment: Mapping[str, str]) -> Config:
    """Return the checked configuration of a file, with every default filled in.

    Raises WrongConfiguration, with one line a fault, if the file cannot be read or says something else.
    The text never holds a value of the file: it may be a password.
    """

    def check(text: str) -> Any:
        return parse_and_validate(text, CONFIGURATION, str(file), vars=environment)

    return cast("Config", _read(file, check))


def variables_of(file: str | Path, environment: Mapping[str, str]) -> set[str]:
    """Return the names of the environment variables that a file uses. Raises WrongConfiguration."""

    def find(text: str) -> Any:
        loader = ConfigLoader(text, environment, [])
        loader.get_single_data()
        return loader.get_expanded_vars()

    return cast("set[str]", _read(file, find))


def _read(file: str | Path, use: Callable[[str], Any]) -> Any:
    try:
        # Not in the encoding of the user's system. Windows' editors begin a file with a byte order mark.
        return use(Path(file).read_text("utf-8-sig"))
    except ConfigError as error:
        # YAML's scanner adds a line about what it was doing, which helps nobody.
        faults = [fault for fault in error.errors if not str(fault.message or "while ").startswith("while ")]
        raise WrongConfiguration("\n".join(_line(file, fault) for fault in faults)) from None
    except OSError as error:
        raise WrongConfiguration(f"{file}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise WrongConfiguration(f"{file}:{line}: {_reason(error, Path(file), line)}") from None


def _reason(error: Exception, file: Path, line: int) -> str:
    """Return why a file is not YAML, without a word of the file."""
    if isinstance(error, ComposerError | ConstructorError):
        # An asterisk or an exclamation mark has made an alias or a tag of it.
        return _SPECIAL
    if not isinstance(error, ParserError):
        return "expected YAML in UTF-8"
    in_braces = str(error.context).startswith("while parsing a flow")
    if in_braces and "${" in "".join(file.read_text("utf-8").splitlines()[line - 1 : line]):
        return """within { } or [ ] a variable must be in quotes, as in password: "${NAME}\""""
    # The parser written in Python, unlike that in C, adds what it found instead.
    return f"expected YAML: {str(error.problem).partition(', but')[0]}"


def _line(file: str | Path, fault: Any) -> str:
    line = fault.start_mark.line + 1 if fault.start_mark else 1
    message = _EXPECTED.get(str(fault.message), str(fault.message))
    if message.startswith("variable "):
        # Not the name: of a password with a dollar sign it would be a part.
        message = "expected, after $, the name of an environment variable that is set"
    return ": ".join(part for part in (f"{file}:{line}", fault.path, message) if part)
