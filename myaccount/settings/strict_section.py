"""A section of the configuration: a mapping whose unknown keys are refused with the nearest known one."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

import trafaret as t
from trafaret.codes import NOT_ALLOWED


class Section(t.Dict):  # type: ignore[misc]
    """trafaret's Dict, which says only that a key is not allowed."""

    def transform(self, value: Any, context: Any = None) -> Any:
        try:
            return super().transform(value, context)
        except t.DataError as error:
            self._explain(error)

    def _explain(self, error: t.DataError) -> NoReturn:
        if isinstance(error.error, dict):
            known = [key.name for key in self.keys]
            for name, fault in error.error.items():
                if fault.code == NOT_ALLOWED:
                    error.error[name] = t.DataError(unknown_key(str(name), known))
        raise error


def unknown_key(name: str, known: Sequence[str]) -> str:
    """Return the error for a key that is not among the known ones."""
    nearest = get_close_matches(name.lower(), known, 1)
    question = f", did you mean {nearest[0]}?" if nearest else "."
    return f"unknown key{question} The keys here are {', '.join(sorted(known))}"
