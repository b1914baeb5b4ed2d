"""The command line's words: each command has its own help, and earlier spellings mean the same as today's."""

import re
from typing import Any

import pytest

from myaccount.cli.arguments import parse
from myaccount.cli.entry import add_commands
from myaccount.settings.loading import CONFIG_VARIABLE
from myaccount.settings.paths import own_version

COMMON = {"--help", "--config", "--print-config", "--print-config-vars", "--check-config", "--version"}


def _parsed(*words: str) -> dict[str, Any]:
    """Return the options. The functions among them are made anew each time; `cannot` tells commands apart."""
    options = vars(parse(words, add_commands))
    return {name: value for name, value in options.items() if name not in ("run", "find_misuse", "parser")}


@pytest.mark.parametrize(
    ("words", "own"),
    [
        ([], []),
        (["serve"], ["--process"]),
        (["listen"], []),
        (["migrate"], ["--sql", "--status"]),
        (["events"], []),
        (["events", "resend"], ["--to"]),
        (["events", "drop"], []),
        (["backup"], []),
        (["check"], []),
        (["verify"], []),
    ],
    ids=str,
)
def test_the_help_of_a_command_has_its_own_options_and_the_common_ones(
    words: list[str], own: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        parse([*words, "--help"], add_commands)
    assert raised.value.code == 0
    printed = capsys.readouterr().out
    assert set(re.findall("--[a-z-]+", printed)) == COMMON | set(own)
    assert printed.startswith(" ".join(["usage: myaccount", *words]))
    assert ("\n  FILE " in printed) == (words == ["backup"])


def test_the_help_of_all_lists_the_commands_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["-h"], add_commands)
    listed = re.findall("^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE)
    assert listed == [
        "serve",
        "listen",
        "migrate",
        "events",
        "keys",
        "operators",
        "audit",
        "backup",
        "check",
        "verify",
    ]


@pytest.mark.parametrize(
    ("earlier", "today"),
    [
        ("", "serve"),
        ("--process 1", "serve --process 1"),
        ("--process 1 serve", "serve --process 1"),
        ("-c other.yaml", "serve -c other.yaml"),
        ("-c other.yaml check", "check -c other.yaml"),
        ("--config=other.yaml --print-config", "serve --print-config -c other.yaml"),
        ("--status migrate", "migrate --status"),
        ("-c other.yaml --sql migrate", "migrate --sql -c other.yaml"),
        ("events --resend delivery-7", "events resend delivery-7"),
        ("--resend delivery-7 events", "events resend delivery-7"),
        ("events --resend=old --to shop", "events resend old --to shop"),
        ("--to shop events --resend old", "events resend --to shop old"),
        # A command's name may be that of an endpoint.
        ("--resend check --to verify events", "events resend check --to verify"),
        ("events --resend=-x", "events resend -- -x"),
        ("events -c other.yaml --drop all", "events drop all -c other.yaml"),
        ("-C events --drop all", "events drop all -C"),
        ("backup -c other.yaml copy.db", "backup copy.db -c other.yaml"),
    ],
)
def test_an_earlier_spelling_means_the_same(earlier: str, today: str) -> None:
    assert _parsed(*earlier.split()) == _parsed(*today.split())


def test_common_options_count_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, "default.yaml")
    assert _parsed("events", "drop", "all")["config"] == "default.yaml"
    for words in ("-c own.yaml events drop all", "events -c own.yaml drop all", "events drop all -c own.yaml"):
        assert _parsed(*words.split())["config"] == "own.yaml"


@pytest.mark.parametrize(
    "words",
    [
        "unknown",
        "check verify",
        "listen --process 1",
        "--process 1000",
        "--process x",
        "--resend all",
        "verify --drop all",
        "check --status",
        "--sql",
        "migrate --sql --status",
        "migrate --to shop",
        "backup",
        "backup one.db two.db",
        "events copy.db",
        "events resend",
        "events --drop all --resend all",
        "events drop all --to shop",
        "check -c",
        "--unknown",
    ],
)
def test_words_that_do_not_go_together_are_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(words.split(), add_commands)
    assert raised.value.code == 2
    assert capsys.readouterr().err.startswith("usage: myaccount")


def test_a_mistyped_command_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["chek", "-c", "other.yaml"], add_commands)
    assert "there is no command chek: did you mean check? The commands are serve, " in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["backup"], ["nonsense"], ["events", "resend"]], ids=str)
def test_the_version_is_printed_whatever_else_the_line_says(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        parse([*words, "--version"], add_commands)
    assert not raised.value.code
    assert capsys.readouterr().out == f"MyAccount {own_version()}\n"
