"""gunicorn's settings of the service. Its workers wait for a database on a machine that stands still."""

from pathlib import Path
from typing import Any

exec((Path(__file__).resolve().parents[2] / "gunicorn.conf.py").read_text("utf-8"))  # noqa: S102 - our own
_enter_slot = globals()["post_fork"]
PATIENCE_SECONDS = 60


def post_fork(server: Any, worker: Any) -> None:
    _enter_slot(server, worker)
    # Only now: a worker has its slot for metrics, and may import the service.
    from myaccount.database import engines, freshness, retries
    from myaccount.journal import blocked
    from myaccount.migrations import startup

    for module, name in (
        (blocked, "WAIT_SECONDS"),
        (startup, "TRANSACTION_TIMEOUT_SECONDS"),
        (retries, "TRANSACTION_TIMEOUT_SECONDS"),
        (freshness, "IDLE_TIMEOUT_SECONDS"),
        (engines, "POOL_TIMEOUT_SECONDS"),
    ):
        setattr(module, name, PATIENCE_SECONDS)
