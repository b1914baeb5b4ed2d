"""The configuration: a YAML file, checked before anything starts.

`${NAME}` in a value is replaced by the environment variable of that name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import yaml
from trafaret_config import ConfigError, read_and_validate

from .ledger.changes import ACCOUNT_OPENED
from .resources import resource
from .settings import CONFIGURATION, HIGHEST_PORT, CallbackConfig, Config

DEFAULT_FILE: Final = resource("config/config.yaml")

# What trafaret says of a fault, said so that it tells what was expected.
_EXPECTED: Final = {
    "value is not a dict": "expected keys with their values",
    "value is not a list": "expected a list",
}


class WrongConfiguration(Exception):
    """The configuration cannot be used; the text says which file, line and key, and what was expected."""


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
    host = f"[{config['host']}]" if ":" in config["host"] else config["host"]
    return f"http://{host}:{config['port']}"


def callbacks_of(config: Config) -> list[CallbackConfig]:
    """Return who is told of what; if the configuration does not say, the service itself of each opening."""
    default: CallbackConfig = {
        "url": f"{own_address(config)}/opeacclistentest",
        "events": [ACCOUNT_OPENED],
        "timeout_seconds": 5.0,
    }
    return config.get("callbacks", [default])


def load_configuration(file: str | Path, environment: Mapping[str, str]) -> Config:
    """Return the checked configuration of a file, with every default filled in.

    Raises WrongConfiguration, with one line a fault, if the file cannot be read or says something else.
    The text never holds a value of the file: it may be a password.
    """
    try:
        return cast("Config", read_and_validate(str(file), CONFIGURATION, vars=environment))
    except ConfigError as error:
        raise WrongConfiguration("\n".join(_line(file, fault) for fault in error.errors)) from None
    except OSError as error:
        raise WrongConfiguration(f"{file}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        raise WrongConfiguration(f"{file}:{mark.line + 1 if mark else 1}: expected YAML in UTF-8") from None


def _line(file: str | Path, fault: Any) -> str:
    line = fault.start_mark.line + 1 if fault.start_mark else 1
    message = _EXPECTED.get(str(fault.message), str(fault.message))
    if message.startswith("variable "):
        # Not the name: of a password with a dollar sign it would be a part.
        message = "expected, after $, the name of an environment variable that is set"
    return ": ".join(part for part in (f"{file}:{line}", fault.path, message) if part)
