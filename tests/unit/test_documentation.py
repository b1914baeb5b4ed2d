"""docs/ says what there is: settings and their defaults, files of deploy/, promises and risks with tests."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import trafaret as t

from myaccount.ledger.changes import CHANGE_TYPES
from myaccount.settings.schema import CONFIGURATION

from ..helpers.services import CHECKOUT

TEXT = (CHECKOUT / "docs" / "operations.rst").read_text("utf-8")
ROW = re.compile(r"^``([a-z_.\[\]]+)``  +(\S.*?)(?:  +.*)?$", re.MULTILINE)


def _settings(checker: Any, prefix: str = "") -> Iterator[str]:
    """Give each setting that the configuration may have."""
    while isinstance(checker, t.And):
        checker = checker.trafaret
    if isinstance(checker, t.List):
        yield prefix
        if isinstance(checker.trafaret, t.Dict):
            yield from _settings(checker.trafaret, f"{prefix}[]")
    elif isinstance(checker, t.Dict):
        for key in checker.keys:
            yield from _settings(key.trafaret, f"{prefix}.{key.name}".removeprefix("."))
    elif prefix:
        yield prefix


def _default(name: str) -> str:
    """Return what the configuration has where the file does not say."""
    found: Any = CONFIGURATION.check(REQUIRED)
    for part in name.replace("[]", ".0").split("."):
        found = found[int(part)] if part.isdigit() else found.get(part)
    return str(found).lower().removesuffix(".0")


REQUIRED: dict[str, Any] = {
    "mysql": {"host": "h", "db": "d", "user": "u", "password": "p"},
    "redis": {"host": "h"},
    "metrics": {},
    "callbacks": [{"url": "http://h/"}],
}


def test_every_setting_is_documented_with_its_default() -> None:
    documented = dict(ROW.findall(TEXT[: TEXT.index("gunicorn reads")]))
    settings = set(_settings(CONFIGURATION))
    assert documented.keys() == settings
    for name, said in documented.items():
        if said not in ("(required)", "none", "all", "(see README)"):
            assert said.lower() == _default(name), name


@pytest.mark.parametrize("file", ["README.rst", "README.zh-CN.rst", "docs/operations.rst", "config/config.yaml"])
def test_every_type_of_change_is_documented(file: str) -> None:
    text = (CHECKOUT / file).read_text("utf-8")
    assert [type_ for type_ in CHANGE_TYPES if not re.search(rf"\b{type_}\b", text)] == []


def test_every_file_to_deploy_is_named() -> None:
    for file in (CHECKOUT / "deploy").iterdir():
        assert f"deploy/{file.name}" in TEXT, file.name


def test_every_promise_is_listed_with_tests_that_exist() -> None:
    text = (CHECKOUT / "docs" / "promises.rst").read_text("utf-8")
    promises = re.split(r"^(\d+)\. ", text, flags=re.MULTILINE)[1:]
    assert [int(number) for number in promises[::2]] == list(range(1, 11))
    for number, promise in zip(promises[::2], promises[1::2], strict=True):
        files = re.findall(r"``(tests/[a-z_/]+\.py)``", promise)
        assert files, number
        for file in files:
            assert (CHECKOUT / file).is_file(), file


def test_every_risk_is_listed_with_tests_that_exist() -> None:
    text = (CHECKOUT / "docs" / "security.rst").read_text("utf-8")
    risks = re.split(r"^(\d+)\. ", text[: text.index("What it does not do")], flags=re.MULTILINE)[1:]
    assert [int(number) for number in risks[::2]] == list(range(1, 11))
    for number, risk in zip(risks[::2], risks[1::2], strict=True):
        assert f"(API{number})" in risk
        shown = re.split(r"``(tests/[a-z_/]+\.py)``", risk)[1:]
        assert shown, number
        for file, names in zip(shown[::2], shown[1::2], strict=True):
            tests = re.findall(r"``(test_[a-z0-9_]+)``", names)
            assert tests, file
            code = (CHECKOUT / file).read_text("utf-8")
            assert [test for test in tests if f"def {test}(" not in code] == [], file


def test_code_and_tests_name_only_promises_that_are_listed() -> None:
    named = {
        int(number)
        for folder in ("myaccount", "tests")
        for file in (CHECKOUT / folder).rglob("*.py")
        for numbers in re.findall(r"\b[Pp]romises? ([\d, and]+)", file.read_text("utf-8"))
        for number in re.findall(r"\d+", numbers)
    }
    assert named
    assert named <= set(range(1, 11))


@pytest.mark.parametrize("readme", ["README.rst", "README.zh-CN.rst"])
def test_the_map_has_every_folder(readme: str) -> None:
    text = (CHECKOUT / readme).read_text("utf-8")
    folders = {folder.parent.name for folder in (CHECKOUT / "myaccount").glob("*/__init__.py")}
    assert folders
    assert {folder for folder in folders if not re.search(rf"^    {folder}/ ", text, re.MULTILINE)} == set()
