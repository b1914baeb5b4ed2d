"""gunicorn's settings of the service, but a master waits a second, not fifteen, for what another process has."""

from pathlib import Path

exec((Path(__file__).resolve().parents[2] / "gunicorn.conf.py").read_text("utf-8"))  # noqa: S102 - our own
PORT_FREE_SECONDS = 1
