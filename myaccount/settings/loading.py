"""The configuration: a YAML file, checked before anything starts.

`${NAME}` in a value is replaced by the environment variable of that name.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import trafaret as t
import yaml
from trafaret_config import ConfigError, parse_and_validate
from trafaret_config.simple import ConfigLoader
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError
from yaml.parser import ParserError

from ..ledger.changes import ACCOUNT_OPENED
from ..system.addresses import address_text
from .callbacks import CallbackConfig
from .paths import resource
from .schema import CONFIGURATION, Config
from .values import HIGHEST_PORT

# The environment variable that names the configuration file, if not the shipped one.
CONFIG_VARIABLE: Final = "MYACCOUNT_CONFIG"
DEFAULT_FILE: Final = resource("config/config.yaml")
# Where the service receives its own callbacks, if the configuration has none.
LISTENER_TEST_PATH: Final = "/opeacclistentest"

_SPECIAL: Final = (
    "a value that begins with a special character must be in quotes, and lines begin with spaces, not tabs"
)
# trafaret's and YAML's messages, and those that replace them, which say what was expected.
_EXPECTED: Final = {
    "value is not a dict": "expected keys with their values",
    "value is not a list": "expected a list",
    "found character that cannot start any token": _SPECIAL,
}


# An empty file: no key is required.
_or_nothing: Final = t.Call(lambda value: {} if value is None else value)


class WrongConfiguration(Exception):
    """The configuration cannot be used. The text names the file, line and key, and what was expected."""


def default_file(environment: Mapping[str, str]) -> str:
    """Return the configuration file that is used when the command line names none."""
    return environment.get(CONFIG_VARIABLE, str(DEFAULT_FILE))


def load_configuration_of(number: int | None, file: str | Path, environment: Mapping[str, str]) -> Config:
    """Return the configuration of process `number` of several that share a file, or of the only one.

    A file of the process beside the shared one, `config-<number>.yaml` for `config.yaml`, is used unchanged.
    Without one, `number` is added to the ports of the shared file. Raises WrongConfiguration.
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
    """Return the URL of the service according to the configuration."""
    return f"http://{address_text(config['host'], config['port'])}"


def callbacks_of(config: Config) -> list[CallbackConfig]:
    """Return the endpoints and their events. The default is the service itself, for each opening."""
    default: CallbackConfig = {
        "url": own_address(config) + LISTENER_TEST_PATH,
        "events": [ACCOUNT_OPENED],
        "timeout_seconds": 5.0,
        "trust_env": False,
    }
    return config.get("callbacks", [default])


def load_configuration(file: str | Path, environment: Mapping[str, str]) -> Config:
    """Return the checked configuration of a file, with all defaults filled in.

    Raises WrongConfiguration, with a line for each fault, if the file cannot be read or is wrong. The text never
    has a value of the file, which may be a password.
    """

    def check(text: str) -> Any:
        return parse_and_validate(text, _or_nothing & CONFIGURATION, str(file), vars=environment)

    return cast("Config", _read(file, check, environment))


def variables_of(file: str | Path, environment: Mapping[str, str]) -> set[str]:
    """Return the names of the environment variables that a file uses. Raises WrongConfiguration."""

    def find(text: str) -> Any:
        loader = ConfigLoader(text, environment, [])
        loader.get_single_data()
        return loader.get_expanded_vars()

    return cast("set[str]", _read(file, find, environment))


def _read(file: str | Path, use: Callable[[str], Any], environment: Mapping[str, str]) -> Any:
    try:
        # UTF-8 on every system. Windows' editors begin a file with a byte order mark.
        return use(Path(file).read_text("utf-8-sig"))
    except ConfigError as error:
        # YAML's scanner adds a line about what it was doing, which does not help.
        faults = [fault for fault in error.errors if not str(fault.message or "while ").startswith("while ")]
        raise WrongConfiguration("\n".join(_line(file, fault, environment) for fault in faults)) from None
    except OSError as error:
        raise WrongConfiguration(f"{file}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise WrongConfiguration(f"{file}:{line}: {_reason(error, Path(file), line)}") from None


def _reason(error: Exception, file: Path, line: int) -> str:
    """Return why a file is not YAML, without quoting it."""
    if isinstance(error, ComposerError | ConstructorError):
        # An asterisk or an exclamation mark at its beginning made it an alias or a tag.
        return _SPECIAL
    if not isinstance(error, ParserError):
        return "expected YAML in UTF-8"
    in_braces = str(error.context).startswith("while parsing a flow")
    if in_braces and "${" in "".join(file.read_text("utf-8").splitlines()[line - 1 : line]):
        return """within { } or [ ] a variable must be in quotes, as in password: "${NAME}\""""
    # The Python parser, unlike the C parser, adds what it found instead.
    return f"expected YAML: {str(error.problem).partition(', but')[0]}"


def _unset_variable(value: str, environment: Mapping[str, str]) -> str:
    """Return what is wrong with a value that names an environment variable that is not set.

    Only a name within braces is shown: after a dollar sign alone it may be part of a password.
    """
    names = [name for name in re.findall(r"\$\{(\w+)\}", value) if name not in environment]
    if names:
        return f"the environment variable {names[0]} is not set"
    return "expected, after $, the name of an environment variable that is set"


def _line(file: str | Path, fault: Any, environment: Mapping[str, str]) -> str:
    line = fault.start_mark.line + 1 if fault.start_mark else 1
    message = _EXPECTED.get(str(fault.message), str(fault.message))
    if message.startswith("variable "):
        message = _unset_variable(str(fault.value), environment)
    return ": ".join(part for part in (f"{file}:{line}", fault.path, message) if part)
