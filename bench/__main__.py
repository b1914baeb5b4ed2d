"""`make bench` and the other benchmarks: measure the service beside what it is compared to, in one run."""

import argparse
import os
import sys

from . import endurance, engines, holds, scale, whole
from .compare import Load, checkout_of, compare
from .load import SCRIPTS
from .rounds import Plan

WHAT = ("all", "engines", "compare", "scale", "holds", "endurance")
# The least that compete for the same accounts.
LEAST_WORKERS = 2


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=WHAT, default=WHAT[0])
    parser.add_argument("other", nargs="?", default="HEAD", help="compare: another checkout's folder, or a commit")
    parser.add_argument("--seconds", type=int, default=3, help="how long each row is measured, each round")
    parser.add_argument("--rounds", type=int, default=5, help="how often all rows are measured")
    parser.add_argument(
        "--workers",
        type=int,
        default=max(LEAST_WORKERS, os.cpu_count() or 1),
        help="processes of each service: as many as gunicorn.conf.py starts, one for each core",
    )
    parser.add_argument("--load", choices=SCRIPTS, default="transfer", help="compare: what is sent")
    parser.add_argument("--everything", action="store_true", help="compare: the listener and the log are on")
    parser.add_argument("--hot", action="store_true", help="compare: every transfer pays one account")
    parser.add_argument("--embedded", action="store_true", help="compare, holds: the embedded file, one process")
    parser.add_argument("--holds", type=int, default=1_000_000, help="holds: how many end at once")
    return parser


def main() -> None:
    parser = arguments()
    options = parser.parse_intermixed_args()
    plan = Plan(options.seconds, options.rounds, options.workers)
    if options.what == "compare":
        if options.everything and options.embedded:
            parser.error("compare takes --everything or --embedded")
        load = Load(options.load, "hot" if options.hot else "uniform", options.seconds, options.everything)
        try:
            with checkout_of(options.other) as other:
                compare(other, load, options.rounds, options.workers, embedded=options.embedded)
        except ValueError as error:
            parser.error(str(error))
    elif options.what == "engines":
        engines.measure(plan)
    elif options.what == "scale":
        scale.measure(options.seconds, options.workers, options.rounds)
    elif options.what == "holds":
        measure = holds.measure_embedded if options.embedded else holds.measure_on_mariadb
        print(measure(options.seconds, options.workers, options.holds))
    elif options.what == "endurance":
        endurance.measure(options.workers)
    else:
        sys.exit(not whole.measure(plan))


if __name__ == "__main__":
    main()
