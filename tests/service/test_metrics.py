"""The metrics of a process that serves alone: what it counts, and what it samples for each scrape."""

import asyncio
import http.client
import json
import random
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from sqlalchemy import insert

from myaccount import operations_port as operations
from myaccount.appkeys import health_key
from myaccount.database.database import Database
from myaccount.database.times import utc_now
from myaccount.main import create_app
from myaccount.model.outbox import delivery, event
from myaccount.observability import metrics
from myaccount.observability.exposition import exposition
from myaccount.observability.metrics import METHODS
from myaccount.outbox import backlog as backlog_module
from myaccount.settings.callbacks import url_key
from myaccount.settings.schema import Config

from ..conftest import Client, Section, Server, eventually
from ..helpers.monitoring import Scrape, ask, scrape
from ..helpers.servers import START_SECONDS, MariaDB, free_port, wait_until
from ..helpers.services import CHECKOUT, ENVIRONMENT, Service, Start, begin

COUNT = "myaccount_http_request_duration_seconds_count"
OPENING = {"userName": "N", "sex": "F", "cardNum": "6222999999", "accountType": "01"}
CALLBACK = "http://someone:hunter2@127.0.0.1:1/hunter3"


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A separate server, because it is made to hang."""
    server = MariaDB(tmp_path_factory.mktemp("counted") / "mariadb").start()
    yield server
    server.kill()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def service(start: Start, backend: Section, port: int) -> Service:
    # Nothing listens at the address of the callback.
    return start("python3", "myaccount", **backend, metrics={"port": port}, callbacks=[{"url": CALLBACK}])


def test_each_order_is_counted_by_its_type_and_outcome(service: Service, port: int) -> None:
    for user in ("u1", "u2"):
        service.post("/openacc", userId=user, accountId=f"a-{user}", **OPENING)
    for _ in range(2):
        service.post("/recharge", orderId="r1", userId="u1", amount="5")
    service.post("/transfer", orderId="t1", fromuserId="u1", touserId="u2", amount="1")
    for payee, amount in (("u2", "100"), ("nobody", "1")):
        with pytest.raises(HTTPError):
            service.post("/transfer", orderId=f"t-{payee}", fromuserId="u1", touserId=payee, amount=amount)
    found = scrape(port)
    for order_type, outcome, count in (
        ("recharge", "posted", 1),
        ("recharge", "replayed", 1),
        ("transfer", "posted", 1),
        ("transfer", "declined", 1),
        ("transfer", "refused", 1),
    ):
        assert found.where("myaccount_orders_total", type=order_type, outcome=outcome) == count
    # Each opening and each order came alone.
    assert found["myaccount_batch_commands_sum"] == 7
    assert found["myaccount_batch_commands_count"] == 7
    assert found.where("myaccount_transactions_total", kind="batch", outcome="done") == 7
    assert found.where("myaccount_refusals_total", code="insufficient_funds") == 1
    assert found.where("myaccount_refusals_total", code="user_not_found") == 1
    assert found.where(COUNT, route="/transfer", method="POST", status="409") == 1
    assert found["process_resident_memory_bytes"] > 0
    assert (found["myaccount_processes"], found["myaccount_process_starts_total"]) == (1, 1)


def test_deliveries_are_counted_without_the_address_of_a_callback(service: Service, port: int) -> None:
    service.post("/openacc", userId="u1", accountId="a1", **OPENING)
    wait_until(
        lambda: scrape(port).where("myaccount_deliveries_total", host="127.0.0.1", result="failed") > 0,
        START_SECONDS,
    )
    # The count of what waits is cached for a moment.
    wait_until(lambda: scrape(port).where("myaccount_deliveries_waiting", host="127.0.0.1") == 1, START_SECONDS)
    found = scrape(port)
    assert found["myaccount_messages_written_total"] == 1
    assert 0 <= found.where("myaccount_deliveries_oldest_age_seconds", host="127.0.0.1") < 600
    text = ask(port, "/metrics").text
    assert "hunter" not in text
    assert "6222999999" not in text
    assert "u1" not in text


def test_open_streams_are_counted(service: Service, port: int) -> None:
    service.post("/openacc", userId="u1", accountId="a1", **OPENING)
    connection = http.client.HTTPConnection(service.address.removeprefix("http://"))
    connection.request("GET", "/messages/stream?userId=u1")
    assert connection.getresponse().status == 200
    assert scrape(port)["myaccount_streams"] == 1
    connection.close()
    # A closed stream is noticed when something is sent.
    service.post("/recharge", orderId="r1", userId="u1", amount="5")
    wait_until(lambda: scrape(port)["myaccount_streams"] == 0, START_SECONDS)


def test_made_up_addresses_and_methods_add_no_labels(service: Service, port: int) -> None:
    connection = http.client.HTTPConnection(service.address.removeprefix("http://"))
    for n in range(300):
        method = random.choice(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "MKCOL"))
        path = random.choice((f"/made-up-{n}", "/transfer", f"/transfer/{n}", f"/static/{n}", f"/readyz?{n}"))
        connection.request(method, path)
        connection.getresponse().read()
    connection.close()
    series = {labels for name, labels in scrape(port).samples if name == COUNT}
    assert scrape(port)[COUNT] >= 300
    assert {dict(labels)["method"] for labels in series} <= METHODS | {"other"}
    assert {dict(labels)["route"] for labels in series} <= {"other", "/transfer", "/readyz", "/opeacclistentest"}
    assert len(series) < 20


def test_only_the_operations_port_has_metrics_and_it_has_no_other_routes(service: Service, port: int) -> None:
    public = int(service.address.rpartition(":")[2])
    assert ask(public, "/metrics").status == 404
    assert [ask(port, path).status for path in ("/", "/recharge", "/errors", "/static/style.css")] == [404] * 4


@pytest.mark.parametrize("access", ["open", "keys"])
def test_the_operations_port_answers_by_the_same_names_as_the_service(
    start: Start, port: int, access: str
) -> None:
    start("python3", "myaccount", metrics={"port": port}, hosts=["metrics.example.com", "10.1.2.3"], access=access)

    def status(path: str, **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
        connection.request("GET", path, headers=headers)
        found = connection.getresponse().status
        connection.close()
        return found

    known = 200 if access == "open" else 401
    for host in (f"127.0.0.1:{port}", "localhost", f"metrics.example.com:{port}", "10.1.2.3"):
        assert status("/metrics", Host=host) == known, host
    # A page whose name leads here, and a proxy that somebody put before it.
    unknown = 403 if access == "open" else 401
    assert status("/metrics", Host=f"evil.test:{port}") == unknown
    assert status("/metrics", Host="localhost", Via="1.1 proxy") == unknown
    # Load balancers ask by names of their own.
    wait_until(lambda: {status(path, Host="10.9.9.9") for path in ("/healthz", "/readyz")} == {200}, START_SECONDS)


def test_a_reply_of_the_operations_port_has_a_request_id_and_is_not_counted(service: Service, port: int) -> None:
    before = scrape(port)
    ask(port, "/readyz")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=START_SECONDS) as response:
        assert response.headers["X-Request-ID"]
        assert (response.headers["Server"], response.headers["Cache-Control"]) == (None, "no-store")
    problem = json.loads(ask(port, "/nothing").text)
    assert problem["request_id"] != "-"
    after = scrape(port)
    routes = ("/healthz", "/readyz", "/metrics", "other")
    assert [after.where(COUNT, route=route) for route in routes] == [
        before.where(COUNT, route=route) for route in routes
    ]


def test_without_the_section_metrics_there_is_no_operations_port(start: Start, port: int) -> None:
    start("python3", "myaccount")
    with pytest.raises(OSError, match="refused"):
        ask(port, "/metrics")


def test_a_port_that_is_taken_is_refused_with_words(start: Start, service: Service, port: int) -> None:
    assert ask(port, "/healthz").status == 200
    with pytest.raises(AssertionError, match="address already in use"):
        start("python3", "myaccount", metrics={"port": port})


class TestSamples:
    """What waits to be delivered: each process reports it for all."""

    @pytest.fixture
    def queue(self) -> Section:
        return {"listener": {"enabled": False}, "callbacks": [{"url": CALLBACK}]}

    async def test_waiting_and_set_aside_events_and_deliveries_are_counted_up_to_a_limit(
        self, client: Client, patient_probes: None, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(backlog_module, "COUNT_LIMIT", 5)
        now = utc_now()
        waiting = {"body": "[]", "attempts": 0, "created_at": now - timedelta(seconds=90), "due_at": now}
        later = waiting | {"created_at": now, "due_at": now + timedelta(hours=1)}
        aside = waiting | {"due_at": None}
        owed = {"webhook_id": "w", "endpoint": url_key(CALLBACK)}
        rows = [waiting | owed, later | owed, aside | owed, waiting | owed | {"endpoint": "gone"}]
        await database.write(lambda c: c.execute(insert(event), [waiting, later, *[aside] * 7]))
        await database.write(lambda c: c.execute(insert(delivery), rows))
        found = {(name, *labels): value for name, value, labels in await client.app[health_key].samples()}
        assert (found["events_waiting",], found["events_set_aside",]) == (2, 5)
        assert 90 <= found["events_oldest_age_seconds",] < 600
        for host, counts in {"127.0.0.1": (2, 1), "no longer configured": (1, 0)}.items():
            assert (found["deliveries_waiting", host], found["deliveries_set_aside", host]) == counts
            assert 90 <= found["deliveries_oldest_age_seconds", host] < 600


class TestMariaDB:
    @pytest.fixture
    def backend(self, mysql_section: Section) -> Section:
        return {"mysql": mysql_section}

    @pytest.fixture
    async def hanging(self, mariadb: MariaDB) -> AsyncIterator[MariaDB]:
        yield mariadb
        mariadb.resume()

    async def test_while_the_database_hangs_the_other_metrics_are_reported_in_time(
        self, service: Service, port: int, hanging: MariaDB
    ) -> None:
        async def database_up() -> float:
            return (await asyncio.to_thread(scrape, port))["myaccount_database_up"]

        async def is_up() -> bool:
            return await database_up() == 1

        async def is_down() -> bool:
            return await database_up() == 0

        await eventually(is_up)
        hanging.pause()
        await eventually(is_down)
        found = scrape(port)
        assert found["myaccount_ready"] == 0
        assert found["myaccount_pool_connections_limit"] == 5
        assert "myaccount_events_waiting" not in found.labels()

        # Neither an order that waits for the database nor one that was given up delays the metrics.
        with pytest.raises(HTTPError, match="503"):
            await asyncio.to_thread(service.post, "/recharge", orderId="r1", userId="u1", amount="1")
        assert scrape(port).where("myaccount_transactions_total", kind="batch", outcome="unavailable") == 1
        hanging.resume()

        async def is_counted() -> bool:
            found = await asyncio.to_thread(scrape, port)
            return found["myaccount_ready"] == 1 and found.samples.get(("myaccount_events_waiting", ())) == 0

        await eventually(is_counted)


def test_a_process_that_only_listens_has_metrics_too(start: Start, port: int) -> None:
    service = start("python3", "myaccount", listener={"enabled": False})
    service.post("/openacc", userId="u1", accountId="a1", **OPENING)
    file = service.configuration.with_name("listener.yaml")
    file.write_text(f"{service.configuration.read_text()}metrics: {{port: {port}}}\n".replace("false", "true"))
    words = ("python3", "myaccount", "listen", "-c", str(file))
    listener = begin(words, output=1)
    try:

        def message_is_counted() -> bool:
            try:
                return scrape(port)["myaccount_messages_written_total"] == 1
            except OSError:
                return False

        wait_until(message_is_counted, START_SECONDS)
    finally:
        listener.terminate()
        assert listener.wait(START_SECONDS) == 0


def _exposed() -> Scrape:
    return Scrape(exposition([]).decode())


def test_noted_durations_are_counted_as_by_observe() -> None:
    registry = CollectorRegistry()
    name = COUNT.removesuffix("_count")
    one_by_one = Histogram(name, "The other way.", buckets=metrics.DURATION_BUCKETS, registry=registry)
    took = [0.0, *metrics.DURATION_BUCKETS, *[1.001 * bound for bound in metrics.DURATION_BUCKETS]] * 60
    assert len(took) > metrics.NOTED_LIMIT
    for seconds in took:
        one_by_one.observe(seconds)
        metrics.count_request("/unit", "GET", 200, seconds)
    for _ in range(2):
        # The second time there is nothing left to count.
        metrics.count_noted()
    exposed = _exposed()
    for (sample, labels), value in Scrape(generate_latest(registry).decode()).samples.items():
        assert exposed.where(sample, route="/unit", **dict(labels)) == pytest.approx(value)


@pytest.mark.parametrize("seconds", [0.01, 60], ids=["while it serves", "at its end"])
async def test_noted_durations_are_counted_without_a_scrape(
    config: Config, port: int, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(operations, "SAMPLE_SECONDS", seconds)
    config["metrics"] = {"host": "127.0.0.1", "port": port}
    server = Server(create_app(config), port=config["port"])
    await server.start_server()
    before = _exposed().where(COUNT, route="/errors", status="200")
    async with aiohttp.ClientSession() as session:
        for _ in range(5):
            async with session.get(server.make_url("/errors")) as response:
                assert response.status == 200

    def counted() -> bool:
        return _exposed().where(COUNT, route="/errors", status="200") == before + 5

    if seconds < 1:
        await eventually(counted)
    await server.close()
    assert counted()


async def test_metrics_that_cannot_be_sampled_are_sampled_again(
    config: Config, port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    taken = 0

    def count_noted() -> None:
        nonlocal taken
        taken += 1
        if taken == 1:
            raise OSError(24, "Too many open files")

    monkeypatch.setattr(operations, "count_noted", count_noted)
    monkeypatch.setattr(operations, "SAMPLE_SECONDS", 0.01)
    config["metrics"] = {"host": "127.0.0.1", "port": port}
    server = Server(create_app(config), port=config["port"])
    await server.start_server()
    await eventually(lambda: taken > 1)
    await server.close()
    assert "The metrics could not be sampled" in caplog.text


OUT_OF_FILES = """
import resource
from myaccount.observability import metrics

metrics.count_refusal("first")
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
for n in range(1000):
    metrics.count_request("/r", "GET", n, 0.1)
    metrics.count_refusal(f"refused-{n}")
metrics.count_noted()
"""


def test_a_worker_without_file_descriptors_still_counts(tmp_path: Path) -> None:
    slot = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "MYACCOUNT_SLOT": "0", "MYACCOUNT_STARTED": "1"}
    subprocess.run([sys.executable, "-c", OUT_OF_FILES], cwd=CHECKOUT, env=ENVIRONMENT | slot, check=True)
