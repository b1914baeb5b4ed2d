"""The service without its counters, to measure what the metrics cost."""

from myaccount import application
from myaccount.observability import metrics


def _nothing(*_: object) -> None:
    pass


# Before the modules that count are loaded, which is when the application is made.
for name in ("count_request", "count_refusal", "count_orders", "count_transaction"):
    assert hasattr(metrics, name)  # noqa: S101 - or something else would be measured
    setattr(metrics, name, _nothing)
setattr(metrics.BATCH_COMMANDS, "observe", _nothing)  # noqa: B010 - mypy would have it be a method

__all__ = ["application"]
