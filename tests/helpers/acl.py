"""The permissions of Redis's user, as docs/operations.rst has them."""

import re

from .services import CHECKOUT


def permissions() -> list[str]:
    """Return the rules of the line `user myaccount on >PASSWORD ...`, after the password."""
    text = (CHECKOUT / "docs" / "operations.rst").read_text("utf-8")
    found = re.search(r"^ +user myaccount on >PASSWORD (\S.*)$", text, re.MULTILINE)
    assert found
    return found[1].split()
