"""The characters of ids and names. An id has only visible characters; a name has at least one."""

import re
import unicodedata
from typing import Final

_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_CONTROL: Final = re.compile(f"[{_CONTROLS}]")
# Tabs and line ends are part of a longer text.
_CONTROL_IN_LINES: Final = re.compile(f"(?![\t\n\r])[{_CONTROLS}]")

# Persian and Indian scripts need joiners between letters, as do emoji of several persons. Hebrew and Arabic names
# may have direction marks. At the beginning or end they are refused: there they are mostly left over from copying.
_INSIDE_NAMES: Final = "\u200c\u200d\u200e\u200f\u061c"
# Zero-width characters, soft hyphen, tags, and characters that reverse the text around them.
_HIDDEN: Final = re.compile("[\u00ad\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
# Invisible characters in the category of a letter, a mark or a symbol: fillers, variation selectors, and the
# Braille pattern without dots.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# Control, format, surrogate, private use, unassigned. White space has its own error text.
_INVISIBLE_CATEGORIES: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))


def check_id(value: str) -> None:
    """Raise ValueError with the reason if a character of the id is invisible.

    Between two ids that look the same, a person could pay the wrong one. Unlike names, ids need no characters of
    private use, and none that are newer than this Python's Unicode.
    """
    check_text(value)
    for character in value:
        if character.isspace():
            raise ValueError("must not contain white space")
        if unicodedata.category(character) in _INVISIBLE_CATEGORIES or _BLANK.match(character):
            raise ValueError(f"must not contain invisible or unassigned characters ({_code_point(character)})")


def check_name(value: str) -> None:
    """Raise ValueError with the reason if the name is invisible, or hides or reverses other text."""
    check_text(value)
    if hidden := _HIDDEN.search(value):
        raise ValueError(f"must not contain the invisible character {_code_point(hidden[0])}")
    for character in (value[0], value[-1]):
        if character in _INSIDE_NAMES:
            raise ValueError(f"must not begin or end with the invisible character {_code_point(character)}")


def check_text(value: str, *, lines: bool = False) -> None:
    """Raise ValueError with the reason if the text is invisible or has control characters.

    With `lines`, tabs and line ends are accepted.
    """
    if not value:
        raise ValueError("must not be empty")
    if all(map(_is_invisible, value)):
        raise ValueError("must have a visible character")
    if (_CONTROL_IN_LINES if lines else _CONTROL).search(value):
        raise ValueError("must not contain control characters")


def _is_invisible(character: str) -> bool:
    # A combining mark is visible only on another character.
    return (
        character.isspace()
        or unicodedata.category(character) in ("Cf", "Mn", "Mc", "Me")
        or _BLANK.match(character) is not None
    )


def _code_point(character: str) -> str:
    return f"U+{ord(character):04X}"
