"""`make bench-endurance`: ten minutes of full load, and the memory of the workers minute by minute."""

from .load import wrk
from .processes import processes, resident_mib
from .report import write_endurance
from .servers import database_and_queue, my_account

ACCOUNTS = 10_000
MINUTES = 10


def measure(workers: int) -> None:
    with database_and_queue() as (folder, mariadb, redis):
        mysql = mariadb.mysql_section(mariadb.filled_database(ACCOUNTS))
        queue = {"host": "127.0.0.1", "port": redis.port}
        with my_account(folder, workers, mysql=mysql, redis=queue) as (address, process):
            minutes = []
            for minute in range(1, MINUTES + 1):
                rate = wrk(address, "transfer", 60)["rate"]
                minutes.append({"rate": rate, "worker_mib": resident_mib(processes(process))})
                print(f"minute {minute:2} {rate:9.0f} a second {minutes[-1]['worker_mib']:6.1f} MiB", flush=True)
        write_endurance(minutes)
