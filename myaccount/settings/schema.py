"""What a configuration file may say, as trafaret checks it, and what it means where it says nothing."""

import base64
import hashlib
import re
import ssl
from contextlib import suppress
from typing import Any, Final, NotRequired, TypedDict
from urllib.parse import urlsplit

import trafaret as t

from ..ledger.changes import CHANGE_TYPES
from .paths import working_path
from .sections import Section


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
    name: NotRequired[str]
    url: str
    events: list[str]
    secret: NotRequired[list[str]]
    timeout_seconds: float
    proxy: NotRequired[str]
    ca: NotRequired[str]
    trust_env: bool


def url_key(url: str) -> str:
    """Return the key of an endpoint without a name: not the url itself, which may hold a password."""
    return hashlib.sha256(urlsplit(url).geturl().encode()).hexdigest()[:16]


def endpoint_key(callback: CallbackConfig) -> str:
    """Return the key of an endpoint in the tables: its name or, without one, what stands for its url."""
    return callback.get("name") or url_key(callback["url"])


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


def _text_or_none(value: object) -> str:
    return _text(value) if value != "" else ""


def _host(value: object) -> str:
    """Take a host's name or address, if sockets can look it up: their module encodes each by IDNA."""
    host = _text(value)
    with suppress(UnicodeError):
        host.encode("idna")
        return host
    raise t.DataError("expected a host: labels of 1 to 63 characters with single dots between them, or an address")


def _address(value: object) -> str:
    """Take an address as it is written: it is requested so, with its escapes."""
    with suppress(ValueError):
        address = _text(value).strip()
        parts = urlsplit(address)
        # Reading the port raises ValueError if it is above the highest one.
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            # Raises UnicodeError, a ValueError, as in `_host`.
            parts.hostname.encode("idna")
            return address
    raise t.DataError("expected an address, such as http://127.0.0.1:9000/account-opened")


def _signing_secret(value: object) -> str:
    with suppress(ValueError):
        prefix, key = _text_or_none(value)[:6], base64.b64decode(_text_or_none(value)[6:], validate=True)
        if prefix == "whsec_" and 24 <= len(key) <= 64:
            return f"{prefix}{base64.b64encode(key).decode()}"
    raise t.DataError("expected whsec_ and 24 to 64 random bytes in base64")


def _signing_secrets(value: object) -> list[str]:
    """Take one secret, or several while one takes the place of another."""
    if isinstance(value, list) and value:
        return [_signing_secret(secret) for secret in value]
    return [_signing_secret(value)]


def _endpoint_name(value: object) -> str:
    # `myaccount events` has other meanings for these.
    taken = re.fullmatch("all|(event|delivery)-[0-9]+", str(value))
    if isinstance(value, str) and re.fullmatch("[A-Za-z0-9._-]{1,16}", value) and not taken:
        return value
    raise t.DataError("expected 1 to 16 letters, digits, dots, underscores or hyphens, such as shop")


def _certificates(value: object) -> str:
    file = working_path(_text(value))
    try:
        ssl.create_default_context(cafile=file)
    except OSError:
        raise t.DataError("expected a file with certificates of authorities in PEM, which can be read") from None
    return str(file)


def _callbacks(value: list[CallbackConfig]) -> list[CallbackConfig]:
    urls = [callback["url"] for callback in value]
    if len(set(urls)) < len(urls):
        raise t.DataError("expected each url once; one entry may name several events")
    keys = [endpoint_key(callback) for callback in value]
    if len(set(keys)) < len(keys):
        raise t.DataError("expected each name once")
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

MYSQL: Final = Section(
    {
        t.Key("host"): _host,
        t.Key("port", default=3306): PORT,
        t.Key("db"): _text,
        t.Key("user"): _text,
        t.Key("password"): _text_or_none,
        t.Key("minsize", default=1): _number(0, 1000),
        # One is the journal's own, and none is too few for the others.
        t.Key("maxsize", default=5): _number(2, 1000),
        # Seconds. The demo's file says 5000, so a limit that looks absurd is taken.
        t.Key("connect_timeout", default=5): _number(1, 86_400),
    }
) & t.Call(_pool)

REDIS: Final = Section(
    {
        t.Key("host"): _host,
        t.Key("port", default=6379): PORT,
        # Taken because the demo's file has it; connections are opened as they are needed.
        t.Key("minsize", default=1): _number(0, 1000),
        t.Key("maxsize", default=5): _number(1, 1000),
        t.Key("db", default=0): _number(0, 1_000_000),
        t.Key("password", optional=True): _text_or_none,
    }
) & t.Call(_pool)

CALLBACK: Final = Section(
    {
        t.Key("name", optional=True): _endpoint_name,
        t.Key("url"): _address,
        t.Key("events", default=list(CHANGE_TYPES)): t.List(_one_of(*CHANGE_TYPES), min_length=1),
        t.Key("secret", optional=True): _signing_secrets,
        t.Key("timeout_seconds", default=5.0): _seconds,
        t.Key("proxy", optional=True): _address,
        t.Key("ca", optional=True): _certificates,
        t.Key("trust_env", default=False): _flag,
    }
)

CONFIGURATION: Final = Section(
    {
        t.Key("host", default="127.0.0.1"): _host,
        t.Key("port", default=8080): PORT,
        t.Key("mysql", optional=True): MYSQL,
        t.Key("redis", optional=True): REDIS,
        t.Key("sqlite_file", default="data/myaccount.db"): _text,
        t.Key("log_folder", default="logs"): _text_or_none,
        t.Key("log_file", optional=True): _text,
        t.Key("log_format", default="text"): _one_of("text", "json"),
        t.Key("log_level", default="INFO"): _one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        t.Key("journal", default={}): Section(
            {
                t.Key("waiting_limit", default=10_000): _number(1, 1_000_000),
                t.Key("waiting_seconds", default=2.0): _seconds,
            }
        ),
        t.Key("listener", default={}): Section(
            {
                t.Key("enabled", default=True): _flag,
            }
        ),
        t.Key("metrics", optional=True): Section(
            {
                t.Key("host", default="127.0.0.1"): _host,
                t.Key("port", default=9180): PORT,
            }
        ),
        t.Key("callbacks", optional=True): t.List(CALLBACK) & t.Call(_callbacks),
    }
) & t.Call(_ports)
