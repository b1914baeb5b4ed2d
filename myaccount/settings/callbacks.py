"""The list `callbacks` of the configuration: the endpoints that receive changes, and the key of each."""

import hashlib
from typing import Final, NotRequired, TypedDict
from urllib.parse import urlsplit

import trafaret as t

from ..ledger.changes import CHANGE_TYPES
from .strict_section import Section
from .values import address, certificates, endpoint_name, flag, one_of, seconds, signing_secrets


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
    """Return the key of an endpoint without a name: a hash, because the url may hold a password."""
    return hashlib.sha256(urlsplit(url).geturl().encode()).hexdigest()[:16]


def endpoint_key(callback: CallbackConfig) -> str:
    """Return the key of an endpoint in the tables: its name or, without one, the hash of its url."""
    return callback.get("name") or url_key(callback["url"])


def _refuse_repeated(value: list[CallbackConfig]) -> list[CallbackConfig]:
    urls = [callback["url"] for callback in value]
    if len(set(urls)) < len(urls):
        raise t.DataError("expected each url once; one entry may name several events")
    keys = [endpoint_key(callback) for callback in value]
    if len(set(keys)) < len(keys):
        raise t.DataError("expected each name once")
    return value


CALLBACK: Final = Section(
    {
        t.Key("name", optional=True): endpoint_name,
        t.Key("url"): address,
        t.Key("events", default=list(CHANGE_TYPES)): t.List(one_of(*CHANGE_TYPES), min_length=1),
        t.Key("secret", optional=True): signing_secrets,
        t.Key("timeout_seconds", default=5.0): seconds,
        t.Key("proxy", optional=True): address,
        t.Key("ca", optional=True): certificates,
        t.Key("trust_env", default=False): flag,
    }
)

CALLBACKS: Final = t.List(CALLBACK) & t.Call(_refuse_repeated)
