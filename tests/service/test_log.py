"""The log: one line a request, an id shared with the reply, and never a card number or a password."""

import asyncio
import errno
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from myaccount.database.database import Database
from myaccount.database.statements import Bound
from myaccount.journal.mysql_openings import MysqlOpenings
from myaccount.journal.sqlite_openings import SqliteOpenings
from myaccount.observability import once_a_minute as onceaminute
from myaccount.observability.access_log import log_access
from myaccount.observability.log_handlers import InBlocks
from myaccount.observability.log_outputs import DailyLogFile, Output
from myaccount.observability.log_setup import close_log_file, request_id, set_up_logging
from myaccount.settings.schema import CONFIGURATION

from ..conftest import Client
from ..helpers.actions import send
from ..helpers.services import CHECKOUT
from .test_accounts import ALICE


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(logging.Formatter("%(levelname)s %(name)s [%(request_id)s] %(message)s"))
    return caplog


@contextmanager
def _logging_of(settings: dict[str, str], *, alone: bool) -> Iterator[None]:
    """Use the service's logging instead of the tests'."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    set_up_logging(CONFIGURATION.check(settings), alone=alone)
    try:
        yield
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:], root.level = handlers, level


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    """The daily file of the service's logging, which replaces the tests' and logs everything."""
    with _logging_of({"log_level": "DEBUG", "log_folder": str(tmp_path / "logs")}, alone=True):
        # SQLAlchemy logs its statements only if its logger's level says so.
        logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)
        yield tmp_path / "logs" / "myaccount.log"
        logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)


def _outputs() -> Sequence[Output]:
    (handler,) = [handler for handler in logging.getLogger().handlers if isinstance(handler, InBlocks)]
    return handler._outputs


def _daily_file() -> DailyLogFile:
    _, file = _outputs()
    assert isinstance(file, DailyLogFile)
    return file


async def test_each_request_has_one_line_and_shares_its_id_with_the_reply(
    client: Client, log: pytest.LogCaptureFixture
) -> None:
    for path in ("/queryacc?userId=u1&secret=x", "/nothing", "/%0Ainjected"):
        log.clear()
        async with client.post(path, data={"userId": "u1"}) as response:
            id_ = response.headers["X-Request-ID"]
        (line,) = [line for line in log.text.splitlines() if "myaccount.access" in line]
        shown = "/queryacc" if path.startswith("/queryacc") else "(unknown address)"
        expected = f"INFO myaccount.access [{id_}] POST {shown} {response.status} "
        assert re.fullmatch(re.escape(expected) + r"\d+\.\d ms", line), line


async def test_a_valid_request_id_of_the_client_is_kept(client: Client, log: pytest.LogCaptureFixture) -> None:
    for given, kept in [
        ("order-17.a_B", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("é", False),
    ]:
        async with client.get("/nothing", headers={"X-Request-ID": given}) as response:
            assert (response.headers["X-Request-ID"] == given) == kept
            assert (await response.json(content_type=None))["request_id"] == response.headers["X-Request-ID"]


async def test_all_lines_of_a_request_have_its_id(
    client: Client, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(self: Database, *queries: object) -> None:
        raise RuntimeError("the handler is broken")

    monkeypatch.setattr(Database, "query", failing)
    async with client.post("/queryacc", data={"userId": "u1"}, headers={"X-Request-ID": "r-1"}) as response:
        problem = await response.json(content_type=None)
    assert (response.status, problem["code"]) == (500, "internal_error")
    assert "broken" not in str(problem)
    assert "ERROR myaccount.replies [r-1] The handler of /queryacc failed." in log.text


async def test_no_card_number_or_password_reaches_the_log(
    log_file: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = "6222777777"
    await send(client, "/openacc", **ALICE | {"cardNum": card})
    await send(client, "/openacc", **ALICE | {"cardNum": card})
    await send(client, "/openacc", **ALICE | {"cardNum": card * 5})

    def fail(batch: object, users: object) -> Bound:
        return f"INSERT INTO nowhere VALUES ({'?' if isinstance(batch, SqliteOpenings) else '%s'})", (card,)

    for openings in (MysqlOpenings, SqliteOpenings):
        monkeypatch.setattr(openings, "_insert_users", fail)
    status, _, _ = await send(client, "/openacc", **ALICE | {"userId": "u9", "accountId": "a9", "cardNum": card})
    assert status >= 500
    log = log_file.read_text("utf-8")
    # SQLAlchemy logs its statements, without their parameters.
    assert "SELECT account.account_id" in log
    assert "nowhere" in log
    assert card not in log
    assert "secret" not in log


def test_a_single_process_also_logs_to_a_daily_file(log_file: Path) -> None:
    logging.getLogger("test").info("账本")
    logging.getLogger("aiosqlite").debug("a statement with its parameters")
    file = _daily_file()
    assert (file.when, file.backupCount) == ("MIDNIGHT", 30)
    assert re.fullmatch(r".* INFO test \[-\] 账本\n", log_file.read_text("utf-8"))


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock shows the time of Shanghai."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_away")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_time_of_a_line_is_in_utc(tmp_path: Path, log_format: str) -> None:
    file = tmp_path / "log.txt"
    with _logging_of({"log_file": str(file), "log_format": log_format}, alone=False):
        began = datetime.now(UTC)
        logging.getLogger("shop").info("here")
        ended = datetime.now(UTC)
    (line,) = file.read_text().splitlines()
    logged = json.loads(line)["time"] if log_format == "json" else line.partition(" ")[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", logged)
    assert began - timedelta(milliseconds=1) <= datetime.fromisoformat(logged) <= ended


@pytest.mark.parametrize("place", ["/dev/stdout", "/proc/self/fd/1"])
def test_a_log_file_that_is_the_console_has_each_line_once(place: str, capfd: pytest.CaptureFixture[str]) -> None:
    with _logging_of({"log_file": place}, alone=False):
        logging.getLogger("shop").info("here")
    assert capfd.readouterr().out.count("here") == 1


def test_a_log_file_to_which_the_console_is_redirected_has_each_line_once(tmp_path: Path) -> None:
    """As a shell does with > log.txt."""
    program = f"""
import logging
from myaccount.observability import once_a_minute as onceaminute
from myaccount.observability.access_log import log_access
from myaccount.observability.log_handlers import InBlocks
from myaccount.observability.log_outputs import DailyLogFile, Output
from myaccount.observability.log_setup import close_log_file, request_id, set_up_logging
from myaccount.settings.schema import CONFIGURATION
set_up_logging(CONFIGURATION.check({{"log_folder": {str(tmp_path)!r}}}), alone=True)
logging.getLogger("shop").info("here")
"""
    file = tmp_path / "myaccount.log"
    with file.open("w") as output:
        subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, stdout=output, check=True)
    assert file.read_text().count("here") == 1


def test_without_a_folder_the_log_goes_to_the_console_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with _logging_of({"log_folder": ""}, alone=True):
        logging.getLogger("shop").info("here")
        assert len(_outputs()) == 1
    assert capfd.readouterr().out.count("here") == 1


def test_connections_that_cannot_be_accepted_are_logged_once_a_minute(
    log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr(logging.getLogger("asyncio"), "filters", [onceaminute.AcceptFilter()])

    def tried() -> int:
        """Log asyncio's own message; return how many lines there are."""
        fault = OSError(errno.EMFILE, "Too many open files")
        context = {"message": "socket.accept() out of system resource", "exception": fault}
        loop.default_exception_handler(context)
        return log.text.count("Too many open files")

    loop = asyncio.new_event_loop()
    try:
        assert [tried() for _ in range(5)] == [1] * 5
        now += 61
        assert [tried() for _ in range(5)] == [2] * 5
        loop.default_exception_handler({"message": "something else"})
    finally:
        loop.close()
    assert "something else" in log.text
    assert "Traceback" not in log.text


async def test_lines_in_json_have_the_request_id(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    with _logging_of({"log_file": str(file), "log_format": "json"}, alone=True):
        async with client.get("/nothing", headers={"X-Request-ID": "r-1"}) as response:
            assert response.status == 404
        try:
            raise ValueError("said")
        except ValueError:
            logging.getLogger("shop").exception("A line\nand another")
    request, failure = map(json.loads, file.read_text().splitlines())
    assert request["message"].startswith("GET (unknown address) 404 ")
    assert (request["level"], request["logger"], request["request_id"]) == ("INFO", "myaccount.access", "r-1")
    assert failure["message"] == "A line\nand another"
    assert "ValueError: said" in failure["exc_info"]
    assert failure["request_id"] == "-"


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record)


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("listens_at", ["", "myaccount", "myaccount.access"])
def test_lines_about_requests_are_the_same_whoever_else_listens(
    tmp_path: Path, log_format: str, listens_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log.txt"
    loggers = {name: logging.getLogger(name) for name in ("", "myaccount.access")}
    if listens_at == "myaccount":
        loggers[listens_at] = logging.Logger(listens_at)
        loggers[listens_at].parent = logging.root
        monkeypatch.setattr(loggers["myaccount.access"], "parent", loggers[listens_at])
    listener = _Listener()
    token = request_id.set("r-1")
    with _logging_of({"log_file": str(file), "log_format": log_format}, alone=False):
        log_access("POST", "/transfer", 200, 0.01234)
        log_access("GET", "/healthz", 200, 0.001)
        loggers[listens_at].addHandler(listener)
        log_access("POST", "/transfer", 200, 0.01234)
        log_access("GET", "/healthz", 200, 0.001)
        loggers[listens_at].removeHandler(listener)
        logging.getLogger("myaccount.access").info("POST %s 200 12.3 ms", "/transfer")
    request_id.reset(token)
    lines = [re.sub("[0-9T:.-]{23}[+]00:00", "", line) for line in file.read_text("utf-8").splitlines()]
    assert len(lines) == 3
    assert len(set(lines)) == 1
    (record,) = listener.heard
    assert (record.name, record.levelname, record.getMessage()) == (
        "myaccount.access",
        "INFO",
        "POST /transfer 200 12.3 ms",
    )
    assert vars(record)["request_id"] == "r-1"


def test_an_exception_follows_its_line(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    with _logging_of({"log_file": str(file)}, alone=False):
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            logging.getLogger("shop").exception("It failed:")
    first, *_, last = file.read_text("utf-8").splitlines()
    assert first.endswith(" ERROR shop [-] It failed:")
    assert last == "RuntimeError: broken"


def test_once_its_file_is_closed_the_log_goes_to_the_console_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A start that failed removes the file, and tells why."""
    with _logging_of({"log_folder": str(tmp_path)}, alone=True):
        logging.getLogger("shop").info("before")
        close_log_file()
        (tmp_path / "myaccount.log").unlink()
        logging.getLogger("shop").info("after")
    assert capfd.readouterr().out.count("after") == 1
    assert not (tmp_path / "myaccount.log").exists()


def test_a_log_file_is_opened_again_after_another_program_rotated_it(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "log.txt"
    with _logging_of({"log_file": str(file)}, alone=False):
        logging.getLogger("shop").info("before")
        file.rename(tmp_path / "log.1")
        logging.getLogger("shop").info("after")
    assert "before" in (tmp_path / "log.1").read_text()
    assert "before" not in file.read_text()
    assert "after" in file.read_text()


def test_only_a_single_process_writes_the_daily_file(tmp_path: Path) -> None:
    for alone in (False, True):
        with _logging_of({"log_folder": str(tmp_path)}, alone=alone):
            logging.getLogger("shop").info("here")
        assert (tmp_path / "myaccount.log").exists() == alone


def test_a_full_disk_is_reported_once_and_nothing_else_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with _logging_of({"log_file": "/dev/full"}, alone=False):
        for _ in range(5):
            logging.getLogger("shop").info("here")
    printed = capfd.readouterr()
    assert printed.err == "Lines are missing in the log's file: [Errno 28] No space left on device\n"
    assert printed.out.count("here") == 5


def test_only_the_owner_can_read_the_logs_even_those_of_an_earlier_version(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    for _ in range(2):
        with _logging_of({"log_folder": str(folder)}, alone=True):
            logging.getLogger("shop").info("here")
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        assert folder.stat().st_mode & 0o777 == 0o700
        # As an earlier version made them.
        (folder / "myaccount.log.2026-01-01").write_text("earlier", encoding="utf-8")
        for path in folder.iterdir():
            path.chmod(0o644)
    with _logging_of({"log_file": str(tmp_path / "shared" / "log.txt")}, alone=False):
        assert (tmp_path / "shared" / "log.txt").stat().st_mode & 0o777 == 0o600
        (tmp_path / "shared" / "log.txt").chmod(0o640)
    with _logging_of({"log_file": str(tmp_path / "shared" / "log.txt")}, alone=False):
        # The program that rotates it set these permissions.
        assert (tmp_path / "shared" / "log.txt").stat().st_mode & 0o777 == 0o640


def test_a_daily_file_that_cannot_be_renamed_is_used_for_another_day(
    log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows does not rename a file that another program has open."""

    def refuse(*_: str) -> None:
        raise PermissionError(13, "The process cannot access the file")

    logging.getLogger("shop").info("before")
    _daily_file().rolloverAt = 0
    monkeypatch.setattr("os.rename", refuse)
    logging.getLogger("shop").info("at midnight")
    logging.getLogger("shop").info("after")
    assert [line.rpartition("] ")[2] for line in log_file.read_text("utf-8").splitlines()] == [
        "before",
        "at midnight",
        "after",
    ]
