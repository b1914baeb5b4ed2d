"""The alert rules and the dashboard use only metrics that the service exports, however it is served."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.error import HTTPError

import pytest
import yaml

from ..conftest import Section
from ..helpers.monitoring import Scrape, scrape
from ..helpers.servers import START_SECONDS, free_port, wait_until
from ..helpers.services import CHECKOUT, Start
from .test_start import GUNICORN

# The metric and labels that Prometheus itself adds for each target.
PROMETHEUS_OWN = {"up": set[str]()}
TARGET_LABELS = {"job", "instance"}
KEYWORDS = {"by", "without", "on", "ignoring", "and", "or", "unless", "bool", "offset"}

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
RANGE = re.compile(r"\[[^\]]*\]")
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\(|\{[^}]*\})?")


class Asked(NamedTuple):
    """What an expression uses: labels by metric, and those it groups by."""

    labels: Mapping[str, set[str]]
    grouping: set[str]


def asked(expression: str) -> Asked:
    """Parse the part of PromQL that the expressions use."""
    bare = STRING.sub("''", expression)
    grouping = {label.strip() for labels in GROUPING.findall(bare) for label in labels.split(",")}
    labels: dict[str, set[str]] = {}
    for name, rest in SELECTOR.findall(RANGE.sub("", GROUPING.sub("", bare))):
        if name in KEYWORDS or rest == "(":
            continue
        labels.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", rest))
    return Asked(labels, grouping)


def test_expressions_are_read_as_prometheus_reads_them() -> None:
    expression = 'sum by (a, b) (rate(x_total{c=~"d|e{f=", g!="h"}[$__rate_interval])) / 2 > on (a) 3 * y or z'
    assert asked(expression) == ({"x_total": {"c", "g"}, "y": set(), "z": set()}, {"a", "b"})


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((CHECKOUT / "deploy/alerts.yaml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHECKOUT / "deploy/dashboard.json").read_text())
    return found


def expressions() -> Iterator[str]:
    for rule in alerts():
        yield rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield re.sub(r", \w+\)$", "", variable["query"].removeprefix("label_values("))


@pytest.fixture(params=["alone", "gunicorn"])
def exported(
    request: pytest.FixtureRequest, start: Start, mysql_section: Section, redis_section: Section
) -> Mapping[str, set[str]]:
    """The labels of each metric of a service that has been used in every way."""
    port = free_port()
    workers = request.param == "gunicorn"
    command = [*GUNICORN, "--workers", "3"] if workers else ["python3", "myaccount"]
    service = start(
        *command, by_environment=workers, mysql=mysql_section, redis=redis_section, metrics={"port": port}
    )
    service.post("/openacc", userId="u1", userName="N", sex="F", cardNum="1", accountId="a1", accountType="01")
    service.post("/recharge", orderId="r1", userId="u1", amount="1")
    with suppress(HTTPError):
        service.post("/recharge", orderId="r1", userId="u1", amount="2")
    scraped: Scrape | None = None

    def all_told() -> bool:
        # A worker counts its replies once a second, and another may be scraped before.
        nonlocal scraped
        scraped = scrape(port)
        delivered = scraped.where("myaccount_deliveries_total", result="ok")
        return delivered > 0 and scraped.where("myaccount_http_request_duration_seconds_count") >= 3

    wait_until(all_told, START_SECONDS)
    assert scraped is not None
    labels = dict(scraped.labels())
    assert ("process_start_time_seconds" in labels) == (not workers)
    if workers:
        # Only a single process exports these, and only its panels use them.
        labels |= {name: set() for name in ("process_start_time_seconds", "process_cpu_seconds_total")}
        labels |= {"process_resident_memory_bytes": set()}
    return labels


def test_each_expression_uses_existing_names_and_labels(exported: Mapping[str, set[str]]) -> None:
    there_are = {**exported, **PROMETHEUS_OWN}
    used: set[str] = set()
    for expression in expressions():
        labels, grouping = asked(expression)
        assert labels, expression
        assert labels.keys() <= there_are.keys(), expression
        for name, wanted in labels.items():
            assert wanted | grouping <= there_are[name] | TARGET_LABELS, expression
        used |= labels.keys()
    # Every metric is used somewhere. A histogram is exported in three parts.
    parts = re.compile("_(bucket|count|sum)$")
    found = {parts.sub("", name) for name in exported if name.startswith("myaccount_")}
    assert found == {parts.sub("", name) for name in used if name.startswith("myaccount_")}


def test_each_alert_names_its_subject_by_labels_that_are_left() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    for rule in alerts():
        labels, grouping = asked(rule["expr"])
        left = grouping or set.union(*labels.values(), TARGET_LABELS, {"host"})
        shown = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
        assert set(shown) <= left, rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_the_dashboard_takes_any_data_source_and_its_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert dashboard()["templating"]["list"][0]["type"] == "datasource"
