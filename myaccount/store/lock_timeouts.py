"""How long a session waits for a lock: servers have different variables for it. See docs/engines.rst."""

from collections.abc import Mapping
from typing import Final

# How long a statement waits for a row that another transaction holds, or SQLite for another program's write.
LOCK_TIMEOUT_SECONDS: Final = 2
# OceanBase has this variable, in microseconds, and takes no notice of MySQL's.
OCEANBASE_LOCK_TIMEOUT: Final = "ob_trx_lock_timeout"


def lock_timeouts(seconds: int, *, oceanbase: bool) -> dict[str, int]:
    """Return the session's variables that bound its waits for rows and tables."""
    if oceanbase:
        return {OCEANBASE_LOCK_TIMEOUT: seconds * 1_000_000}
    return {"lock_wait_timeout": seconds, "innodb_lock_wait_timeout": seconds}


def set_session(variables: Mapping[str, str | int]) -> str:
    """Return the statement that sets the session's variables."""
    return "SET " + ", ".join(f"SESSION {name} = {value}" for name, value in variables.items())
