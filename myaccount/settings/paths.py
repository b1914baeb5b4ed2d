"""Paths of the files that ship with the code, in a checkout and in a wheel; and the version."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_CHECKOUT: Final = _PACKAGE.parent
_INSTALLED: Final = (_PACKAGE / "config").is_dir()


def resource(name: str) -> Path:
    """Return the path of `config`, `sql` or `templates`, or of a file below one of them."""
    return (_PACKAGE if _INSTALLED else _CHECKOUT) / name


def working_path(path: str) -> Path:
    """Return a path of the configuration. A relative one starts at the checkout or the current folder.

    A checkout keeps its data in itself, whatever the current folder is. An installed service has no folder of its
    own, so it takes the current one.
    """
    return (Path.cwd() if _INSTALLED else _CHECKOUT) / path


def own_version() -> str:
    """Return the program's version."""
    try:
        return version("myaccount")
    except PackageNotFoundError:
        # A checkout that was never installed.
        return "unknown"
