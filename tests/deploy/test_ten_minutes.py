"""The ten minutes of docs/operations.rst, from its configuration to its last request, with nginx and TLS."""

import re
import subprocess
from pathlib import Path

import yaml

from ..conftest import Section
from ..helpers.certificates import Pair
from ..helpers.deployments import NginxBefore, nginx_before, port_of, sections, start_gunicorn
from ..helpers.servers import free_port
from ..helpers.services import CHECKOUT, ENVIRONMENT, Start

__all__ = ["nginx_before", "sections"]

TEXT = (CHECKOUT / "docs" / "operations.rst").read_text("utf-8")
STEPS = TEXT[TEXT.index("From a clone to a service in ten minutes") : TEXT.index("Who may use it\n---")]


def _commands(first: str, last: str) -> str:
    """Return the commands from the one that begins so to the end of its block."""
    found = re.search(rf"^    {re.escape(first)}.*?^    {re.escape(last)}[^\n]*$", STEPS, re.MULTILINE | re.DOTALL)
    assert found, first
    return re.sub("^    ", "", found[0], flags=re.MULTILINE)


def test_the_ten_minutes_end_with_a_key_and_tls(
    start: Start, nginx_before: NginxBefore, sections: Section, tmp_path: Path
) -> None:
    config = yaml.safe_load(_commands("host: 127.0.0.1", "callbacks: []"))
    assert (config["access"], config["trusted_proxies"]) == ("keys", ["127.0.0.1"])
    metrics = free_port()
    # The servers are others, and so are the ports.
    config |= {"mysql": sections["mysql"], "redis": sections["redis"], "metrics": {"port": metrics}}
    for own in ("host", "port"):
        del config[own]
    service = start_gunicorn(start, 2, **config)
    pair = Pair(tmp_path / "tls.pem", tmp_path / "tls.key")

    def run(script: str) -> str:
        for old, new in (
            ("/etc/myaccount/tls", str(tmp_path / "tls")),
            ("key.txt", str(tmp_path / "key.txt")),
            ("replies.txt", str(tmp_path / "replies.txt")),
            ("pay.example.com:443:", f"pay.example.com:{nginx.port if nginx else 0}:"),
            ("https://pay.example.com/", f"https://pay.example.com:{nginx.port if nginx else 0}/"),
            (":9180/", f":{metrics}/"),
        ):
            script = script.replace(old, new)
        environment = {**ENVIRONMENT, "MYACCOUNT_CONFIG": str(service.configuration)}
        done = subprocess.run(["bash", "-euc", script], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    nginx = None
    run(_commands("openssl req", "chmod 600"))
    nginx = nginx_before(port_of(service), pair=pair)
    tried = _commands("KEY=", "MONITORING=") + "\n" + _commands("pay() {", "pay -d 'orderId=r2")
    # What follows in the document, in the same shell; the test has no systemd.
    reload = f"kill -HUP {service.process.pid}"
    more = _commands("for n in $(seq 500)", "myaccount verify").replace("systemctl reload myaccount", reload)
    more = more.replace("seq 500", "seq 100").replace("grep -vc", "! grep -vc")
    _, opened, recharged, *counted, refused, failed, verified = run(f"{tried}\n{more}").splitlines()
    assert opened == recharged == '{"result": 1}'
    assert any("posted" in line for line in counted)
    assert '"code": "unauthenticated"' in refused
    assert (failed, "balance" in verified) == ("0", True)
    # By the other port, nobody is answered but with the address.
    plain = f"http://127.0.0.1:{nginx.plain_port}/recharge"
    head = run(f"curl -sS -D - -o /dev/null -H @key.txt -d 'orderId=r3&userId=u1&amount=1' {plain}")
    assert head.startswith("HTTP/1.1 301")
    assert "Location: https://pay.example.com/recharge" in head
    ask = STEPS[STEPS.index("pay() {") :].partition("\n")[0]
    asked = f"{ask}\npay -H @key.txt -d orderId=r3 https://pay.example.com/querorder"
    assert '"code": "order_not_found"' in run(asked)
