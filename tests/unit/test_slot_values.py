"""The insides of prometheus_client that slot_values.py replaces are as it expects."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.values import MultiProcessValue

from myaccount.observability import count_file
from myaccount.observability.count_file import CountFile
from myaccount.observability.slot_values import SlotValue, add_observations

from ..helpers.services import CHECKOUT, ENVIRONMENT

# A program that counts with the library's metrics, in the slot of the environment or as the library does itself.
COUNTING = """
import sys
from prometheus_client import Counter, Gauge, Histogram, generate_latest, CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector
from myaccount.observability.slot_values import use_slot

if sys.argv[1] == "slot":
    use_slot()
else:
    values.ValueClass = values.MultiProcessValue(lambda: "0")
Counter("orders", "Orders.", ["type", "outcome"]).labels("transfer", "posted").inc(3)
Gauge("waiting", "Waiting.", multiprocess_mode="livesum").set(7)
Gauge("oldest", "The oldest.", multiprocess_mode="livemax").set(1.5)
durations = Histogram("durations", "Durations.", ["route"], buckets=(0.1, 1))
for seconds in (0.05, 0.1, 0.5, 30):
    durations.labels("/transfer").observe(seconds)
registry = CollectorRegistry()
MultiProcessCollector(registry)
sys.stdout.buffer.write(generate_latest(registry))
"""


def _counted(folder: Path, how: str) -> tuple[bytes, dict[str, list[tuple[str, float]]]]:
    """Return the exposition and what is in each file, after the program has run twice in one slot."""
    folder.mkdir()
    environment = ENVIRONMENT | {"PROMETHEUS_MULTIPROC_DIR": str(folder), "MYACCOUNT_SLOT": "0"}
    for _ in range(2):
        command = [sys.executable, "-c", COUNTING, how]
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, check=True)
    files = {
        file.name: [(key, value) for key, value, *_ in MmapedDict.read_all_values_from_file(file)]
        for file in folder.iterdir()
    }
    return done.stdout, files


def test_a_slot_has_the_files_that_the_library_itself_would_write(tmp_path: Path) -> None:
    text, files = _counted(tmp_path / "slot", "slot")
    assert (text, files) == _counted(tmp_path / "library", "library")
    assert b'orders_total{outcome="posted",type="transfer"} 6.0' in text
    assert b'durations_bucket{le="1.0",route="/transfer"} 6.0' in text


def test_the_library_s_own_value_has_no_method_that_a_slot_s_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    own = MultiProcessValue()
    # Exemplars are not used, and the last one is for the library's own files.
    unused = {"set_exemplar", "close_all_files"}
    assert {name for name in dir(own) if not name.startswith("_")} - unused <= set(dir(SlotValue))
    assert hasattr(values, "ValueClass")


@pytest.mark.parametrize("bounds", [(1,), (0.1, 0.5, 1)])
def test_observations_are_added_as_one_by_one(bounds: tuple[float, ...]) -> None:
    registries = CollectorRegistry(), CollectorRegistry()
    at_once, one_by_one = (
        Histogram("seconds", "Durations.", ["route"], buckets=bounds, registry=registry).labels("/transfer")
        for registry in registries
    )
    # The last place is that of the bucket without a bound.
    add_observations(at_once, {0: 2, len(bounds): 1}, 100.5)
    for seconds in (0, 0.5 if bounds[0] == 1 else 0.1, 100 if bounds[0] == 1 else 100.4):
        one_by_one.observe(seconds)
    first, second = map(_without_created, registries)
    assert first == second


def _without_created(registry: CollectorRegistry) -> list[bytes]:
    return [line for line in generate_latest(registry).splitlines() if b"_created" not in line]


@pytest.mark.parametrize("key_bytes", range(1, 10))
def test_a_file_of_counts_is_full_before_the_library_makes_it_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_bytes: int
) -> None:
    monkeypatch.setattr(count_file, "GAUGE_BYTES", 4096)
    file = tmp_path / "gauge_livesum_0.db"
    for _ in range(2):
        # The second time it has all keys of the first, and takes no more of them.
        counts = CountFile(file, "gauge_livesum")
        keys = [f"{n:0{key_bytes + 3}}" for n in range(200)]
        taken = [key for key in keys if counts.read(key) is not None]
        assert len(taken) > 4096 / (key_bytes + 3 + 28) - 2
        assert file.stat().st_size == 4096
        for key in taken:
            counts.write(key, 1.0)
        assert counts._numbers is not None
        counts._numbers.close()
    stored = {key: value for key, value, *_ in MmapedDict.read_all_values_from_file(file)}
    assert stored == dict.fromkeys(taken, 1.0)


def test_a_counter_of_one_process_is_the_library_s_own() -> None:
    counter = Counter("alone", "Not in a slot.", registry=None)
    counter.inc()
    assert not isinstance(vars(counter)["_value"], SlotValue)
