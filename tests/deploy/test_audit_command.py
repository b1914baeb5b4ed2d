"""`myaccount audit` prints what the commands did."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from myaccount.cli import audit_command
from myaccount.cli import entry as cli

from ..conftest import Section
from ..helpers.operators import quick_passwords

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(backend: Section, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run `myaccount` with these words; return its status and what it printed."""
    file = tmp_path / "config.yaml"
    settings = {"sqlite_file": str(tmp_path / "m.db"), "log_folder": str(tmp_path), "access": "keys"}
    file.write_text(yaml.safe_dump(settings | backend))

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        return cli.main([*words, "-c", str(file)]), capsys.readouterr().out

    assert run("migrate")[0] == 0
    with quick_passwords():
        yield run


def test_each_command_leaves_a_line_newest_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_command, "PAGE_SIZE", 2)
    for name in ("shop", "till"):
        run("keys", "create", "--name", name, "--scopes", "cards")
    run("keys", "rotate", "shop")
    run("keys", "revoke", "till")
    status, printed = run("audit")
    assert status == 0
    lines = [re.sub(r"^\S{20} ", "", line) for line in printed.splitlines()]
    assert lines == [
        "command line: key_revoked key till",
        "command line: key_rotated key shop",
        "command line: key_created key till",
        "command line: key_created key shop",
    ]
    assert run("audit", "--what", "key_created", "--about", "till")[1].count("\n") == 1
    assert run("audit", "--who", "command line")[1].count("\n") == 4
    assert run("audit", "--who", "alice") == (0, "")
    assert run("audit", "--from", "2020-01-02T03:04:05Z")[1].count("\n") == 4
    assert run("audit", "--to", "2020-01-02T03:04:05+08:00") == (0, "")


@pytest.mark.parametrize("words", [("--from", "yesterday"), ("--to", "2026-01-02T03:04:05")])
def test_a_wrong_time_is_explained(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(["audit", *words])
    assert raised.value.code == 2
    assert "must be a time with Z or an offset" in capsys.readouterr().err
