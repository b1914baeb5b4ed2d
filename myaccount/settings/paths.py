"""Paths of the files that ship with the code, in a checkout and in a wheel; and the version."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from jinja2 import DictLoader

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_CHECKOUT: Final = _PACKAGE.parent
_INSTALLED: Final = (_PACKAGE / "config").is_dir()


def resource(name: str) -> Path:
    """Return the path of `config`, `sql` or `templates`, or of a file below one of them."""
    return (_PACKAGE if _INSTALLED else _CHECKOUT) / name


def resource_files(folder: str) -> dict[str, bytes]:
    """Return the content of each file of a folder by name, without its subfolders.

    For reading at start. Later the process may have no file descriptor left.
    """
    return {path.name: path.read_bytes() for path in resource(folder).iterdir() if path.is_file()}


def template_loader(folder: str) -> DictLoader:
    """Return a loader of the templates of a folder, which it has read already."""
    return DictLoader({name: content.decode() for name, content in resource_files(folder).items()})


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
