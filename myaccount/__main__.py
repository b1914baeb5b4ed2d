"""`python3 myaccount` and `python3 -m myaccount`."""

import sys

if not __package__:
    # Started as a folder. Python has put the folder itself first on the path, where the names of its modules would
    # hide libraries; its parent belongs there.
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from myaccount.cli.entry import main

sys.exit(main())
