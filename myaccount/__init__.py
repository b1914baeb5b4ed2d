"""A wallet ledger service: opens accounts, recharges them, moves money, and reports the outcome of every order."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web


def __getattr__(name: str) -> Any:
    """Return the `application` that gunicorn looks for. Raises AppImportError if its worker cannot run it."""
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # `gunicorn --check-config` reads the settings and loads no worker.
    settings_read = hasattr(sys.modules.get("__config__"), "PORT_FREE_SECONDS")
    if "gunicorn.arbiter" in sys.modules and "aiohttp.worker" not in sys.modules and not settings_read:
        # gunicorn looks for settings in the current folder only. Its default worker would answer all with a 500.
        from gunicorn.errors import AppImportError

        from .settings.paths import resource

        raise AppImportError(
            "gunicorn cannot serve: it has not read MyAccount's settings, which are not in this folder. "
            f"Run:  gunicorn -c {resource('gunicorn.conf.py')} myaccount"
        )
    return _application


async def _application() -> "web.AppRunner":
    """Return the service for `gunicorn myaccount`.

    The environment variable MYACCOUNT_CONFIG names the configuration file. The default is the shipped one.
    """
    from .cli.serve_command import runner_from_environment

    return runner_from_environment()
