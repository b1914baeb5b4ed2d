"""Configurations that are accepted, and how a wrong one is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from myaccount.ledger.changes import CHANGE_TYPES
from myaccount.settings.loading import (
    DEFAULT_FILE,
    WrongConfiguration,
    load_configuration,
    load_configuration_of,
    own_address,
)

# The 2018 demo's file, unchanged.
DEMO = """\
mysql:
  host: localhost
  port: 3306
  db: bus
  user: linqt
  password: 123qwe
  connect_timeout: 5000
  minsize: 1
  maxsize: 5

redis:
  host: localhost
  port: 7000
  minsize: 1
  maxsize: 5

host: 127.0.0.1
port: 8080
"""


def _load(tmp_path: Path, text: str, **environment: str) -> Any:
    file = tmp_path / "config.yaml"
    file.write_text(text, "utf-8")
    return load_configuration(file, environment)


def _refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(WrongConfiguration) as raised:
        _load(tmp_path, text)
    return str(raised.value).replace(str(tmp_path), "")


def test_the_shipped_file_is_the_embedded_default() -> None:
    config = load_configuration(DEFAULT_FILE, {})
    assert "mysql" not in config
    assert "redis" not in config
    assert (config["host"], config["port"]) == ("127.0.0.1", 8080)


def test_the_shipped_file_shows_each_section_ready_to_fill_in(tmp_path: Path) -> None:
    lines = DEFAULT_FILE.read_text("utf-8").splitlines()
    sections = [
        line.removeprefix("# ")
        for line in lines
        if line.startswith(("# mysql:", "# redis:", "# callbacks:", "#   "))
    ]
    secret = f"whsec_{'c2VjcmV0' * 4}"
    passwords = {"MYACCOUNT_MYSQL_PASSWORD": "one", "MYACCOUNT_REDIS_PASSWORD": "two"}
    config = _load(tmp_path, "\n".join(sections), MYACCOUNT_CALLBACK_SECRET=secret, **passwords)
    assert (config["mysql"]["password"], config["redis"]["password"]) == ("one", "two")
    assert config["callbacks"][0]["secret"] == [secret]


@pytest.mark.parametrize("text", ["", "# Nothing.\n"])
def test_an_empty_file_has_all_defaults(tmp_path: Path, text: str) -> None:
    assert _load(tmp_path, text)["port"] == 8080


def test_the_demo_s_file_is_accepted_unchanged(tmp_path: Path) -> None:
    config = _load(tmp_path, DEMO)
    demo = yaml.safe_load(DEMO)
    assert demo["mysql"].items() <= config["mysql"].items()
    assert demo["redis"].items() <= config["redis"].items()


def test_a_value_may_come_from_the_environment(tmp_path: Path) -> None:
    text = DEMO.replace("3306", "${DB_PORT}").replace("123qwe", "$DB_PASSWORD")
    config = _load(tmp_path, text, DB_PORT="3307", DB_PASSWORD="77")
    assert (config["mysql"]["port"], config["mysql"]["password"]) == (3307, "77")


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (DEMO.replace("3306", "x"), "/config.yaml:3: mysql.port: expected a whole number from 1 to 65535"),
        (DEMO.replace("3306", "0"), "/config.yaml:3: mysql.port: expected a whole number from 1 to 65535"),
        (DEMO.replace("3306", "true"), "/config.yaml:3: mysql.port: expected a whole number from 1 to 65535"),
        (DEMO.replace("3306", "12.0"), "/config.yaml:3: mysql.port: expected a whole number from 1 to 65535"),
        (DEMO.replace("8080", "65536"), "/config.yaml:18: port: expected a whole number from 1 to 65535"),
        (DEMO.replace("  db: bus\n", ""), "/config.yaml:2: mysql.db: is required"),
        (DEMO.replace("db: bus", "db: ''"), "/config.yaml:4: mysql.db: expected text on one line; a number"),
        (DEMO.replace("123qwe", "123456"), "/config.yaml:6: mysql.password: expected text on one line; a number"),
        (DEMO.replace("minsize: 1\n  maxsize: 5\n\nh", "minsize: 6\n  maxsize: 5\n\nh"),
         "/config.yaml:14: redis.minsize: expected at most maxsize"),
        ("prot: 80\n", "/config.yaml:1: prot: unknown key, did you mean port? The keys here are access"),
        ("logLevel: INFO\n", "/config.yaml:1: logLevel: unknown key, did you mean log_level? The keys here are"),
        ("zzz: 80\n", "/config.yaml:1: zzz: unknown key. The keys here are access, callbacks, "),
        ("5: 80\n", "/config.yaml:1: [5]: unknown key. The keys here are access, callbacks, "),
        (DEMO.replace("db: bus", "dbs: bus"),
         "/config.yaml:4: mysql.dbs: unknown key, did you mean db? The keys here are ca, cert, connect_timeout, "),
        ("journal: {waiting: 3}\n", "/config.yaml:1: journal.waiting: unknown key, did you mean waiting_"),
        ("callbacks:\n- urll: http://a\n", "/config.yaml:2: callbacks[0].urll: unknown key, did you mean url?"),
        ("mysql: {host: h, password: ${NOPE}}\n",
         "/config.yaml:1: within { } or [ ] a variable must be in quotes, as in password: \"${NAME}\""),
        ("callbacks: [${NOPE}]\n", "/config.yaml:1: within { } or [ ] a variable must be in quotes"),
        ("mysql: {host: h\nport: 3\n", "/config.yaml:2: expected YAML: did not find expected ',' or '}'"),
        (DEMO.replace("123qwe", "@ecret9"), "/config.yaml:6: a value that begins with a special character must"),
        (DEMO.replace("123qwe", "*ecret9"), "/config.yaml:6: a value that begins with a special character must"),
        (DEMO.replace("123qwe", "!ecret9"), "/config.yaml:6: a value that begins with a special character must"),
        ("port: 80\n host: x\n", "/config.yaml:2: mapping values are not allowed in this context"),
        ("port: ${NO_SUCH}\n", "/config.yaml:1: the environment variable NO_SUCH is not set"),
        ("callbacks:\n- url: http://a\n  secret: x${NO_SUCH}\n", ":3: the environment variable NO_SUCH is"),
        (DEMO.replace("123qwe", "abc$ecret9"), "/config.yaml:6: expected, after $, the name"),
        ("mysql: 3\n", "/config.yaml:1: mysql: expected keys with their values"),
        ("host: a..b\n", "/config.yaml:1: host: expected a host: labels of 1 to 63 characters"),
        (f"metrics: {{host: {'a' * 64}}}\n", "/config.yaml:1: metrics.host: expected a host: labels"),
        (f"redis: {{host: {'a' * 64}.example}}\n", "/config.yaml:1: redis.host: expected a host: labels"),
        (DEMO.replace("host: localhost\n  port: 3306", "host: .db\n  port: 3306"), "mysql.host: expected a host"),
        ("callbacks:\n- url: http://a..b/\n", "/config.yaml:2: callbacks[0].url: expected an address, such as"),
        (f"callbacks:\n- url: http://a/\n  proxy: http://{'a' * 64}/\n", "callbacks[0].proxy: expected an"),
        ("host: 0.0.0.0\n", "/config.yaml:1: access: others can reach 0.0.0.0, so say who may use the service"),
        ("port: 80\nhost: '::'\n", "access: others can reach ::, so say who may use the service: `access: keys` "
         "is who has a key (`myaccount keys create` makes one), `access: open` is everybody who reaches it by a"),
        ("host: 10.0.0.1\nhosts: [pay.example.com]\n", "access: others can reach 10.0.0.1, so say who may use"),
        ("host: pay.example.com\n", "access: others can reach pay.example.com, so say who may use the service"),
        ("host: 127.0.0.1.evil.com\n", "access: others can reach 127.0.0.1.evil.com, so say who may use"),
        ("metrics: {host: 0.0.0.0}\n", "/config.yaml:1: access: others can reach 0.0.0.0, so say who may use"),
        ("access: closed\n", "/config.yaml:1: access: expected open or keys"),
        ("hosts: pay.example.com\n", "/config.yaml:1: hosts: expected a list"),
        *((f"hosts: ['{name}']\n", "/config.yaml:1: hosts[0]: expected a host's name or address without")
          for name in ("pay.example.com:443", "http://pay.example.com", "*.example.com", "[::1]", "a..b", "")),
        ("log_level: LOUD\n", "/config.yaml:1: log_level: expected DEBUG, INFO, WARNING or ERROR"),
        ("callbacks:\n- url: over there\n", "/config.yaml:2: callbacks[0].url: expected an address"),
        ("callbacks:\n- url: ftp://there/\n", "/config.yaml:2: callbacks[0].url: expected an address"),
        ("callbacks:\n- url: http://[/\n", "/config.yaml:2: callbacks[0].url: expected an address"),
        ("port: !!int abc\n", "/config.yaml:1: expected YAML"),
        ("x: 2024-99-99\n", "/config.yaml:1: expected YAML"),
        ("callbacks:\n- url: http:///path\n", "/config.yaml:2: callbacks[0].url: expected an address"),
        ("journal:\n  waiting_seconds: 0\n", "/config.yaml:2: journal.waiting_seconds: expected seconds"),
        ("journal:\n  waiting_seconds: .nan\n", "/config.yaml:2: journal.waiting_seconds: expected seconds"),
        ("listener:\n  enabled: perhaps\n", "/config.yaml:2: listener.enabled: expected true or false"),
        ("callbacks: no\n", "/config.yaml:1: callbacks: expected a list"),
        ("callbacks:\n- events: [transfer]\n", "/config.yaml:2: callbacks[0].url: is required"),
        ("callbacks:\n- url: http://a\n  events: [x]\n",
         f"/config.yaml:2: callbacks[0].events[0]: expected {', '.join(CHANGE_TYPES[:-1])} or decline"),
        ("callbacks:\n- url: http://a\n  name: '1'\n- url: http://b\n  name: '1'\n",
         "/config.yaml:1: callbacks: expected each name once"),
        ("callbacks:\n- url: http://a\n  name: all\n", "/config.yaml:2: callbacks[0].name: all, event-NUMBER"),
        ("callbacks:\n- url: http://a\n  name: event-1\n", "/config.yaml:2: callbacks[0].name: all, event-NUMBER"),
        ("callbacks:\n- url: http://a\n  name: a b\n", "/config.yaml:2: callbacks[0].name: expected 1 to 16"),
        ("callbacks:\n- url: http://a\n  secret: []\n",
         "/config.yaml:2: callbacks[0].secret: expected whsec_"),
        ("callbacks:\n- url: http://a\n- url: http://a\n", "/config.yaml:1: callbacks: expected each url once"),
        ("callbacks:\n- url: http://a\n  secret: whsec_c2hvcnQ=\n",
         "/config.yaml:2: callbacks[0].secret: expected whsec_ and 24 to 64 random bytes in base64"),
        ("callbacks:\n- url: http://a\n  secret: 5\n",
         "/config.yaml:2: callbacks[0].secret: expected whsec_"),
        ("callbacks:\n- url: http://a\n  timeout_seconds: 0\n",
         "/config.yaml:2: callbacks[0].timeout_seconds: expected seconds"),
        ("- port\n", "/config.yaml:1: expected keys with their values"),
        ("port: [\n", "/config.yaml:2: expected YAML"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_file_line_key_and_what_was_expected(
    tmp_path: Path, text: str, refusal: str
) -> None:
    assert refusal in _refusal(tmp_path, text)


def test_all_faults_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    assert len(_refusal(tmp_path, "port: x\nhost: 5\nprot: 1\n").splitlines()) == 3


def test_a_refusal_never_shows_a_value(tmp_path: Path) -> None:
    assert "123456" not in _refusal(tmp_path, DEMO.replace("123qwe", "123456").replace("3306", "${NO_SUCH}"))
    for password in ("abc$ecret9", "@ecret9", "*ecret9", "!ecret9", "{ecret9", "a: ecret9", "'ecret9"):
        assert "ecret9" not in _refusal(tmp_path, DEMO.replace("123qwe", password))


def test_a_refusal_has_a_line_for_each_fault(tmp_path: Path) -> None:
    for text in ("port: 80\n host: x\n", "port: [\n", "a: @b\n", "mysql: {host: h, password: ${NOPE}}\n"):
        assert len(_refusal(tmp_path, text).splitlines()) == 1


def test_a_variable_in_braces_is_accepted_in_quotes(tmp_path: Path) -> None:
    text = 'mysql: {host: h, db: d, user: u, password: "${DB_PASSWORD}"}\n'
    assert _load(tmp_path, text, DB_PASSWORD="77")["mysql"]["password"] == "77"


def test_a_host_without_a_domain_is_accepted(tmp_path: Path) -> None:
    assert (
        _load(tmp_path, "callbacks:\n- url: http://notify:9000/hook\n")["callbacks"][0]["url"]
        == "http://notify:9000/hook"
    )


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "[::1]:9000", "10.0.0.7", "192.168.1.7", "169.254.169.254"])
def test_a_private_address_of_a_callback_is_taken_as_it_stands(tmp_path: Path, host: str) -> None:
    url = f"http://{host}/hook"
    assert _load(tmp_path, f"callbacks:\n- url: {url}\n")["callbacks"][0]["url"] == url


def test_the_own_address_has_brackets_for_ipv6(tmp_path: Path) -> None:
    assert own_address(_load(tmp_path, "host: 10.0.0.1\naccess: open\n")) == "http://10.0.0.1:8080"
    assert own_address(_load(tmp_path, "host: '::1'\n")) == "http://[::1]:8080"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LocalHost"])
def test_a_loopback_address_needs_no_word_about_access(tmp_path: Path, host: str) -> None:
    assert "access" not in _load(tmp_path, f"host: '{host}'\n")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "pay.example.com"])
def test_every_other_address_is_served_once_access_is_said(tmp_path: Path, host: str) -> None:
    assert _load(tmp_path, f"host: '{host}'\naccess: open\n")["access"] == "open"
    assert _load(tmp_path, f"metrics: {{host: '{host}'}}\naccess: open\n")["access"] == "open"


def test_hosts_have_one_spelling(tmp_path: Path) -> None:
    given = ["Pay.Example.com.", "10.0.0.1", "2001:DB8:0::1", "支付.example"]
    assert _load(tmp_path, yaml.safe_dump({"hosts": given}))["hosts"] == [
        "pay.example.com", "10.0.0.1", "2001:db8::1", "xn--bnq875c.example",
    ]  # fmt: skip


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongConfiguration, match=r"nowhere.yaml: cannot be read: No such file"):
        load_configuration(tmp_path / "nowhere.yaml", {})
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WrongConfiguration, match=r"binary.yaml:1: expected YAML in UTF-8"):
        load_configuration(tmp_path / "binary.yaml", {})


SERVER = "mysql: {host: h, db: d, user: u, password: p}\n"


def test_several_processes_cannot_share_the_embedded_file(tmp_path: Path) -> None:
    shared = tmp_path / "config.yaml"
    shared.write_text("port: 8080\n")
    assert "mysql" not in load_configuration_of(None, shared, {})
    with pytest.raises(WrongConfiguration, match="the embedded file has one process"):
        load_configuration_of(1, shared, {})


def test_a_process_adds_its_number_to_the_shared_port_or_has_its_own_file(tmp_path: Path) -> None:
    shared = tmp_path / "config.yaml"
    shared.write_text(f"port: 8080\nmetrics: {{port: 9180}}\n{SERVER}")
    (tmp_path / "config-2.yaml").write_text(f"port: 9000\nmetrics: {{}}\n{SERVER}")
    configurations = {number: load_configuration_of(number, shared, {}) for number in (None, 0, 1, 2, 3)}
    ports = {number: (config["port"], config["metrics"]["port"]) for number, config in configurations.items()}
    assert ports == {None: (8080, 9180), 0: (8080, 9180), 1: (8081, 9181), 2: (9000, 9180), 3: (8083, 9183)}


def test_a_process_number_beyond_the_highest_port_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "config.yaml"
    shared.write_text(f"port: 65535\n{SERVER}")
    assert load_configuration_of(0, shared, {})["port"] == 65535
    for text in ("port: 65535\n", "metrics: {port: 65535}\n"):
        shared.write_text(text + SERVER)
        with pytest.raises(WrongConfiguration, match=r"config.yaml: port: process 1 would have the port 65536"):
            load_configuration_of(1, shared, {})
