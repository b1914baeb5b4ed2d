"""`make bench`: measures all groups of rows, one after another, each on its own servers."""

from . import once, operations, transfers
from .machine import this_machine
from .report import write_report
from .rounds import Plan, Samples

GROUPS = (
    transfers.measure_database,
    transfers.measure_parts,
    transfers.measure_key,
    transfers.measure_ceiling,
    operations.measure_on_mariadb,
    operations.measure_embedded,
    once.measure,
)


def measure(plan: Plan) -> bool:
    """Measure and report everything; return whether all gates are reached."""
    machine = this_machine()
    print("\n".join(filter(None, [str(machine), machine.warning])), flush=True)
    samples: Samples = {}
    for group in GROUPS:
        group(samples, plan)
    return write_report(samples, plan.workers)
