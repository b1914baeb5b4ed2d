"""`myaccount operators`: people are added with a password that is asked for, and shown to nobody."""

import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from myaccount.cli import entry as cli

from ..conftest import Section
from ..helpers.operators import quick_passwords

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
