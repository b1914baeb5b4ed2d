"""`make bench-endurance`: ten minutes of full load, and the memory of the workers minute by minute."""

import tempfile
from pathlib import Path

from tests.servers import Redis

from .load import wrk
from .report import write_endurance
from .servers import BenchMariaDB, my_account, processes, resident_mib

ACCOUNTS = 10_000
MINUTES = 10


def measure(workers: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        mariadb = BenchMariaDB(folder / "mariadb").start()
        redis = Redis(folder / "redis").start()
        try:
            mysql = mariadb.mysql_section(mariadb.filled_database(ACCOUNTS))
            queue = {"host": "127.0.0.1", "port": redis.port}
            with my_account(folder, workers, mysql=mysql, redis=queue) as (address, process):
                minutes = []
                for minute in range(1, MINUTES + 1):
                    rate = wrk(address, "transfer", 60)["rate"]
                    minutes.append({"rate": rate, "worker_mib": resident_mib(processes(process))})
                    print(
                        f"minute {minute:2} {rate:9.0f} a second {minutes[-1]['worker_mib']:6.1f} MiB", flush=True
                    )
            write_endurance(minutes)
        finally:
            mariadb.kill()
            redis.kill()
