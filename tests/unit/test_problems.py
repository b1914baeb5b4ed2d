"""Every error code is explained in English and in Chinese."""

import re
from collections.abc import Iterator

from myaccount.errors import RequestError
from myaccount.ledger import refusals
from myaccount.problems import PROBLEMS, STATUS_BY_CODE

HAN = re.compile(r"[\u4e00-\u9fff]")


def _codes(error: type[RequestError]) -> Iterator[str]:
    for kind in error.__subclasses__():
        # The declines' common class has none.
        if hasattr(kind, "code"):
            yield kind.code
        yield from _codes(kind)


def test_every_code_has_a_meaning_in_both_languages() -> None:
    for problem in PROBLEMS:
        assert problem.english, problem.code
        assert not HAN.search(problem.english), problem.code
        assert HAN.search(problem.chinese), problem.code


def test_every_error_that_the_service_raises_is_explained_once() -> None:
    assert refusals.SameAccount.code in STATUS_BY_CODE
    assert set(_codes(RequestError)) <= STATUS_BY_CODE.keys()
    assert len(STATUS_BY_CODE) == len(PROBLEMS)


def test_backticks_come_in_pairs() -> None:
    for problem in PROBLEMS:
        assert problem.english.count("`") % 2 == 0, problem.code
        assert problem.chinese.count("`") % 2 == 0, problem.code
