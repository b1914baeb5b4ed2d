"""The house: a room imports only what stands below it, and no module hides a library."""

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import myaccount
from myaccount.settings.paths import resource

PACKAGE = Path(myaccount.__file__).parent

# From the top down. A room imports only rooms of lower floors; those of one floor do not import each other.
FLOORS = [
    {"__main__", "__init__"},
    {"cli"},
    {"main"},
    # The port for metrics and health.
    {"operations_port"},
    {"fast_path"},
    {"routes"},
    {"fast_request", "fast_heads"},
    # What comes in: over HTTP, and from the queue.
    {"controller", "listener"},
    {"readiness", "serving"},
    # What the service does.
    {"access", "accounts", "journal"},
    {"outbox"},
    {"access", "inbox", "webhooks"},
    # What it stands on.
    {"migrations"},
    {"model", "database"},
    {"fast_connection"},
    {"middlewares", "protocol"},
    {"replies"},
    {"appkeys", "problems"},
    {"observability"},
    {"settings"},
    {"ledger"},
    {"errors", "system"},
]
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}


def _imports(file: Path) -> set[str]:
    """Return the rooms that a module imports, but for what only its types, or only its run as a file, need."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    found = set()
    tree = ast.parse(file.read_text("utf-8"))
    set_apart = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in set_apart:
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*parts[: len(parts) - node.level if node.level else 0], *filter(None, [node.module])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("myaccount.")}
    return found & FLOOR.keys()


def _room(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def test_a_room_imports_only_what_stands_below_it() -> None:
    for file in PACKAGE.rglob("*.py"):
        room = _room(file)
        for imported in _imports(file) - {room}:
            assert FLOOR[room] < FLOOR[imported], f"{file.name} of {room} imports {imported}"


def test_no_two_modules_have_the_same_name() -> None:
    names = [path.stem for path in PACKAGE.rglob("*.py") if path.stem not in ("__init__", "__main__")]
    assert sorted(names) == sorted(set(names))


def test_the_ledger_imports_the_standard_library_alone() -> None:
    for file in (PACKAGE / "ledger").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.partition(".")[0] for alias in node.names} <= sys.stdlib_module_names
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert (node.module or "").partition(".")[0] in sys.stdlib_module_names


def test_migrations_import_nothing_that_can_change() -> None:
    legacy = PACKAGE / "migrations" / "legacy_2018"
    frozen = f"myaccount.migrations.{legacy.name}"
    libraries = {"alembic", "sqlalchemy", *sys.stdlib_module_names}
    for file in [*legacy.glob("*.py"), *resource("sql/migrations").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                # One dot, in legacy_2018 alone, stays in it.
                assert node.level == 0 or (node.level == 1 and file.parent == legacy), file
                names = [node.module or ""] if node.level == 0 else []
            for name in names:
                known = name.partition(".")[0] in libraries or f"{name}.".startswith(f"{frozen}.")
                assert known, f"{file.name} imports {name}"


def test_no_module_beside_main_has_the_name_of_a_library() -> None:
    """`python3 myaccount` has the folder on its path until the first line of ours has run."""
    ours = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    ours -= {"__main__", "__init__", "__pycache__"}
    assert not ours & (set(sys.stdlib_module_names) | packages_distributions().keys())
