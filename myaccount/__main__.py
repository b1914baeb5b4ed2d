"""`python3 myaccount` and `python3 -m myaccount`."""

import sys

if not __package__:
    # Started as a folder. Python has put the folder itself first on the path, where the names of its modules would
    # hide libraries; its parent belongs there.
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)

try:
    from myaccount.cli.entry import main
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] == "myaccount":
        raise
    sys.exit(
        f"myaccount cannot start: {sys.executable} has no library {error.name}. "
        "Run  .venv/bin/python myaccount  (`make run` makes .venv), or install MyAccount with pip."
    )

sys.exit(main())
