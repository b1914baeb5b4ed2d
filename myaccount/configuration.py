"""The configuration: what a file may say, and what it means where it says nothing.

The file is YAML, checked by trafaret before anything starts. `${NAME}` in a value is replaced by the
environment variable of that name.
"""

import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict, cast
from urllib.parse import urlsplit

import trafaret as t
import yaml
from trafaret_config import ConfigError, read_and_validate

from .ledger.changes import ACCOUNT_OPENED, CHANGE_TYPES
from .resources import resource

DEFAULT_FILE: Final = resource("config/config.yaml")


class MysqlConfig(TypedDict):
    host: str
    port: int
    db: str
    user: str
    password: str
    minsize: int
    maxsize: int
    connect_timeout: int


class RedisConfig(TypedDict):
    host: str
    port: int
    minsize: int
    maxsize: int
    db: int
    password: NotRequired[str]


class JournalConfig(TypedDict):
    waiting_limit: int
    waiting_seconds: float


class ListenerConfig(TypedDict):
    enabled: bool


class MetricsConfig(TypedDict):
    host: str
    port: int


class CallbackConfig(TypedDict):
    url: str
    events: list[str]
    secret: NotRequired[str]
    timeout_seconds: float


class Config(TypedDict):
    host: str
    port: int
    mysql: NotRequired[MysqlConfig]
    redis: NotRequired[RedisConfig]
    sqlite_file: str
    log_folder: str
    log_file: NotRequired[str]
    log_level: str
    log_format: str
    journal: JournalConfig
    listener: ListenerConfig
    metrics: NotRequired[MetricsConfig]
    callbacks: NotRequired[list[CallbackConfig]]


def _number(least: int, most: int) -> t.Trafaret:
    """Take a whole number, or text that is one (an environment variable); neither True nor 12.0."""

    def whole(value: object) -> int:
        if re.fullmatch("[0-9]{1,9}", str(value)) and least <= int(str(value)) <= most:
            return int(str(value))
        raise t.DataError(f"expected a whole number from {least} to {most}")

    return t.Call(whole)


def _one_of(*words: str) -> t.Trafaret:
    def known(value: object) -> object:
        if value in words:
            return value
        raise t.DataError(f"expected {', '.join(words[:-1])} or {words[-1]}")

    return t.Call(known)


def _flag(value: object) -> bool:
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise t.DataError("expected true or false")


def _seconds(value: object) -> float:
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", str(value)) and 0 < float(str(value)) <= 3600:
        return float(str(value))
    raise t.DataError("expected seconds: a number above 0 and at most 3600")


def _text(value: object) -> str:
    if isinstance(value, str) and value and value.isprintable():
        return value
    raise t.DataError("expected text on one line; a number, true or false must be in quotes to be text")


def _secret(value: object) -> str:
    return _text(value) if value != "" else ""


def _address(value: object) -> str:
    with suppress(ValueError):
        parts = urlsplit(_text(value))
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts.geturl()
    raise t.DataError("expected an address, such as http://127.0.0.1:9000/account-opened")


def _signing_secret(value: object) -> str:
    with suppress(ValueError):
        prefix, key = _secret(value)[:6], base64.b64decode(_secret(value)[6:], validate=True)
        if prefix == "whsec_" and 24 <= len(key) <= 64:
            return f"{prefix}{base64.b64encode(key).decode()}"
    raise t.DataError("expected whsec_ and 24 to 64 random bytes in base64")


def _callbacks(value: list[CallbackConfig]) -> list[CallbackConfig]:
    urls = [callback["url"] for callback in value]
    if len(set(urls)) < len(urls):
        raise t.DataError("expected each url once; one entry may name several events")
    return value


def _ports(value: dict[str, Any]) -> dict[str, Any]:
    if "metrics" in value and value["metrics"]["port"] == value["port"]:
        raise t.DataError(
            {"metrics": t.DataError({"port": t.DataError("expected another port than the service's")})}
        )
    return value


def _pool(value: dict[str, Any]) -> dict[str, Any]:
    if value["minsize"] > value["maxsize"]:
        raise t.DataError({"minsize": t.DataError("expected at most maxsize")})
    return value


HIGHEST_PORT: Final = 65_535
PORT: Final = _number(1, HIGHEST_PORT)

MYSQL: Final = t.Dict(
    {
        t.Key("host"): _text,
        t.Key("port", default=3306): PORT,
        t.Key("db"): _text,
        t.Key("user"): _text,
        t.Key("password"): _secret,
        t.Key("minsize", default=1): _number(0, 1000),
        t.Key("maxsize", default=5): _number(1, 1000),
        # Seconds. The demo's file says 5000, so a limit that looks absurd is taken.
        t.Key("connect_timeout", default=5): _number(1, 86_400),
    }
) & t.Call(_pool)

REDIS: Final = t.Dict(
    {
        t.Key("host"): _text,
        t.Key("port", default=6379): PORT,
        # Taken because the demo's file has it; connections are opened as they are needed.
        t.Key("minsize", default=1): _number(0, 1000),
        t.Key("maxsize", default=5): _number(1, 1000),
        t.Key("db", default=0): _number(0, 1_000_000),
        t.Key("password", optional=True): _secret,
    }
) & t.Call(_pool)

CALLBACK: Final = t.Dict(
    {
        t.Key("url"): _address,
        t.Key("events", default=list(CHANGE_TYPES)): t.List(_one_of(*CHANGE_TYPES), min_length=1),
        t.Key("secret", optional=True): _signing_secret,
        t.Key("timeout_seconds", default=5.0): _seconds,
    }
)

CONFIGURATION: Final = t.Dict(
    {
        t.Key("host", default="127.0.0.1"): _text,
        t.Key("port", default=8080): PORT,
        t.Key("mysql", optional=True): MYSQL,
        t.Key("redis", optional=True): REDIS,
        t.Key("sqlite_file", default="data/myaccount.db"): _text,
        t.Key("log_folder", default="logs"): _text,
        t.Key("log_file", optional=True): _text,
        t.Key("log_format", default="text"): _one_of("text", "json"),
        t.Key("log_level", default="INFO"): _one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        t.Key("journal", default={}): t.Dict(
            {
                t.Key("waiting_limit", default=10_000): _number(1, 1_000_000),
                t.Key("waiting_seconds", default=2.0): _seconds,
            }
        ),
        t.Key("listener", default={}): t.Dict(
            {
                t.Key("enabled", default=True): _flag,
            }
        ),
        t.Key("metrics", optional=True): t.Dict(
            {
                t.Key("host", default="127.0.0.1"): _text,
                t.Key("port", default=9180): PORT,
            }
        ),
        t.Key("callbacks", optional=True): t.List(CALLBACK) & t.Call(_callbacks),
    }
) & t.Call(_ports)

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
