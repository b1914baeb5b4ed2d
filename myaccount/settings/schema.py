"""The sections of the configuration: their keys, their kinds of values, and their defaults."""

from typing import Any, Final, NotRequired, TypedDict

import trafaret as t

from ..system.host_names import is_loopback
from .callbacks import CALLBACKS, CallbackConfig
from .servers import MYSQL, REDIS, MysqlConfig, RedisConfig
from .strict_section import Section
from .values import PORT, flag, host, network, number, one_of, plain_name, seconds, text, text_or_none


class JournalConfig(TypedDict):
    waiting_limit: int
    waiting_seconds: float


class ListenerConfig(TypedDict):
    enabled: bool


class MetricsConfig(TypedDict):
    host: str
    port: int


class Config(TypedDict):
    host: str
    port: int
    # Who may use the service. It may be left out on a loopback address, which only this machine reaches.
    access: NotRequired[str]
    hosts: list[str]
    # Networks.
    trusted_proxies: list[str]
    mysql: NotRequired[MysqlConfig]
    redis: NotRequired[RedisConfig]
    sqlite_file: str
    log_folder: str
    log_file: NotRequired[str]
    log_level: str
    log_format: str
    fast_path: bool
    journal: JournalConfig
    listener: ListenerConfig
    metrics: NotRequired[MetricsConfig]
    callbacks: NotRequired[list[CallbackConfig]]


def access_unsaid(address: str) -> str:
    """Return why a service that others can reach at an address does not start without `access`."""
    return (
        f"others can reach {address}, so say who may use the service: `access: keys` is who has a key (`myaccount "
        "keys create` makes one), `access: open` is everybody who reaches it by a name in `hosts`"
    )


def _check_addresses(value: dict[str, Any]) -> dict[str, Any]:
    hosts = [value["host"], *([value["metrics"]["host"]] if "metrics" in value else [])]
    for reached in hosts:
        if "access" not in value and not is_loopback(reached):
            raise t.DataError({"access": t.DataError(access_unsaid(reached))})
    if "metrics" in value and value["metrics"]["port"] == value["port"]:
        raise t.DataError(
            {"metrics": t.DataError({"port": t.DataError("expected another port than the service's")})}
        )
    return value


CONFIGURATION: Final = Section(
    {
        t.Key("host", default="127.0.0.1"): host,
        t.Key("port", default=8080): PORT,
        t.Key("access", optional=True): one_of("open", "keys"),
        t.Key("hosts", default=[]): t.List(plain_name),
        t.Key("trusted_proxies", default=[]): t.List(network),
        t.Key("mysql", optional=True): MYSQL,
        t.Key("redis", optional=True): REDIS,
        t.Key("sqlite_file", default="data/myaccount.db"): text,
        t.Key("log_folder", default="logs"): text_or_none,
        t.Key("log_file", optional=True): text,
        t.Key("log_format", default="text"): one_of("text", "json"),
        t.Key("log_level", default="INFO"): one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        t.Key("fast_path", default=True): flag,
        t.Key("journal", default={}): Section(
            {
                t.Key("waiting_limit", default=10_000): number(1, 1_000_000),
                t.Key("waiting_seconds", default=2.0): seconds,
            }
        ),
        t.Key("listener", default={}): Section(
            {
                t.Key("enabled", default=True): flag,
            }
        ),
        t.Key("metrics", optional=True): Section(
            {
                t.Key("host", default="127.0.0.1"): host,
                t.Key("port", default=9180): PORT,
            }
        ),
        t.Key("callbacks", optional=True): CALLBACKS,
    }
) & t.Call(_check_addresses)
