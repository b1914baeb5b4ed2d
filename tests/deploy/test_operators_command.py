"""`myaccount operators`: people are added with a password that is asked for, and shown to nobody."""

import asyncio
import io
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy.ext.asyncio import AsyncConnection

from myaccount.access.audit_rows import COMMAND_LINE
from myaccount.access.operators.cookies import make_cookie
from myaccount.access.operators.operator_rows import add_operator, find_operator
from myaccount.access.operators.sessions import LIFETIME, begin_session, new_secret
from myaccount.access.signing import read_signing
from myaccount.cli import entry as cli
from myaccount.database.database import open_database
from myaccount.database.times import utc_now
from myaccount.settings.schema import CONFIGURATION

from ..conftest import Section
from ..helpers.operators import quick_passwords
from ..helpers.servers import START_SECONDS
from ..helpers.services import Service, Start, run_command

PASSWORD = "correct horse battery staple"


class Terminal(io.StringIO):
    """A standard input at which a person sits."""

    def isatty(self) -> bool:
        return True


Operators = Callable[..., tuple[int, str, str]]


@pytest.fixture
def operators(
    backend: Section, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Operators]:
    """Run `myaccount operators` with these words and this standard input; return its status and its output."""
    file = tmp_path / "config.yaml"
    settings = {"sqlite_file": str(tmp_path / "m.db"), "log_folder": str(tmp_path), "access": "keys"}
    file.write_text(yaml.safe_dump(settings | backend))
    assert cli.main(["migrate", "-c", str(file)]) == 0

    def run(*words: str, given: str = "", terminal: bool = False) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", Terminal() if terminal else io.StringIO(given))
        capsys.readouterr()
        status = cli.main(["operators", *words, "-c", str(file)])
        return status, *capsys.readouterr()

    with quick_passwords():
        yield run


def test_operators_are_added_changed_listed_and_removed(operators: Operators) -> None:
    added = operators("add", "alice", "--role", "reader", given=PASSWORD + "\n")
    assert added == (0, "alice may sign in at /signin.\n", "")
    # Without a line end.
    assert operators("add", "Bob.2", "--role", "admin", given=PASSWORD)[0] == 0
    assert operators("role", "alice", "operator") == (0, "alice is operator.\n", "")
    assert operators("password", "alice", given="another password\n") == (0, "alice has a new password.\n", "")
    for words in ((), ("list",)):
        status, printed, _ = operators(*words)
        assert status == 0
        assert re.fullmatch(r"Bob.2 of \S{20}, admin\nalice of \S{20}, operator\n", printed)
    assert operators("remove", "alice") == (0, "alice may not sign in any more.\n", "")
    assert "alice" not in operators("list")[1]
    assert operators("add", "alice", "--role", "reader", given=PASSWORD)[0] == 0


@pytest.mark.parametrize(
    ("words", "given", "line"),
    [
        (("add", "bob", "--role", "reader"), PASSWORD, "add an operator: there is an operator by the name bob."),
        (
            ("add", "ann", "--role", "reader"),
            "elevenchars",
            "add an operator: a password has 12 to 200 characters.",
        ),
        (("add", "ann", "--role", "reader"), "", "add an operator: a password has 12 to 200 characters."),
        (("password", "bob"), "short", "set the password: a password has 12 to 200 characters."),
        (("password", "ann"), PASSWORD, "set the password: there is no operator by the name ann."),
        (("role", "ann", "admin"), "", "set the role: there is no operator by the name ann."),
        (("remove", "ann"), "", "remove an operator: there is no operator by the name ann."),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    operators: Operators, words: tuple[str, ...], given: str, line: str
) -> None:
    operators("add", "bob", "--role", "reader", given=PASSWORD)
    assert operators(*words, given=given) == (1, "", f"myaccount cannot {line}\n")
    assert re.fullmatch(r"bob of \S{20}, reader\n", operators("list")[1])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("add", "ann"), "required: --role"),
        (("add", "ann", "--role", "boss"), "'reader', 'operator', 'admin'"),
        (("add", "a b", "--role", "reader"), "expected 1 to 45 letters"),
        (("add", "a" * 46, "--role", "reader"), "expected 1 to 45 letters"),
        # It could be the id of a key.
        (("add", "abcdefghijk1", "--role", "reader"), "the id of a key"),
    ],
)
def test_a_wrong_command_line_is_explained(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["operators", *words])
    assert raised.value.code == 2
    assert expected in capsys.readouterr().err.replace("reader, operator, admin", "'reader', 'operator', 'admin'")


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(
    operators: Operators, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[str] = []
    monkeypatch.setattr("getpass.getpass", lambda question: answers.pop(0))
    answers += [PASSWORD, PASSWORD + "!"]
    assert "not written the same way twice" in operators("add", "alice", "--role", "reader", terminal=True)[2]
    answers += [PASSWORD, PASSWORD]
    assert operators("add", "alice", "--role", "reader", terminal=True)[0] == 0
    assert not answers


async def _cookie(database_config: Section) -> str:
    """Return the cookie of a new session of the new operator alice."""
    async with open_database(CONFIGURATION.check(database_config), Path()) as database:
        now, secret = utc_now(), new_secret()
        await add_operator(database, "alice", "reader", "no password", now, COMMAND_LINE)
        signing = await database.read(read_signing)

        async def work(connection: AsyncConnection) -> None:
            found = await find_operator(connection, "alice")
            assert found is not None
            await begin_session(connection, found.id, secret, now, "")

        await database.write(work)
        return make_cookie(secret, now + LIFETIME, signing)


def _status(service: Service, cookie: str) -> int:
    request = urllib.request.Request(service.address + "/account", headers={"Cookie": f"myaccount={cookie}"})  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request, timeout=START_SECONDS) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_removed_operator_is_out_in_each_process_within_a_second(start: Start, mysql_section: Section) -> None:
    services = [start("python3", "myaccount", mysql=mysql_section, access="keys") for _ in range(2)]
    cookie = asyncio.run(_cookie({"mysql": mysql_section}))
    assert [_status(service, cookie) for service in services] == [200, 200]
    command = ["python3", "-m", "myaccount", "operators", "-c", str(services[0].configuration)]
    assert run_command(*command, "remove", "alice").returncode == 0
    assert [_status(service, cookie) for service in services] == [401, 401]
