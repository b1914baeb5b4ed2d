"""What is measured once: refusals under overload, delays of messages, many streams, a large inbox."""

from . import inbox
from .dispatch import dispatching_service
from .load import wrk
from .measured import ACCOUNTS
from .rounds import Plan, Samples, note
from .servers import database_and_queue, my_account

ONCE = "once"
DELAY = "messages at 1,000 orders/s"
REFUSALS = "refused, too many wait"
STREAMS = "5,000 streams"
LARGE_INBOX = "inbox of 1,000,000, "
REFUSED_SECONDS = 3


def measure(samples: Samples, plan: Plan) -> None:
    with database_and_queue() as (folder, mariadb, redis):
        queue = {"host": "127.0.0.1", "port": redis.port}
        with dispatching_service(folder, mariadb, queue, plan.workers, ACCOUNTS) as dispatching:
            note(samples, ONCE, DELAY, dispatching.delay())
        with dispatching_service(folder, mariadb, queue, 1, ACCOUNTS) as one_process:
            note(samples, ONCE, STREAMS, one_process.streams())
        for name, result in inbox.measure(folder, mariadb).items():
            note(samples, ONCE, f"{LARGE_INBOX}{name}", result)

        # How soon orders beyond the limit are refused: accounts are locked, and few orders may wait.
        name = mariadb.filled_database(ACCOUNTS)
        sections = {"mysql": mariadb.mysql_section(name), "redis": queue, "journal": {"waiting_limit": 10}}
        with (
            my_account(folder, plan.workers, **sections) as (address, _),
            mariadb.connect(database=name) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("LOCK TABLES account WRITE")
            # Shorter than the database's timeout, so that all replies are refusals of orders beyond the limit.
            note(samples, ONCE, REFUSALS, wrk(address, "transfer", REFUSED_SECONDS, overloaded=True))
            cursor.execute("UNLOCK TABLES")
