"""Which characters ids and names may have: an id has only visible characters, a name at least one."""

import re
import unicodedata
from typing import Final

_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_CONTROL: Final = re.compile(f"[{_CONTROLS}]")
# Tabs and line ends are part of a longer text.
_CONTROL_IN_LINES: Final = re.compile(f"(?![\t\n\r])[{_CONTROLS}]")

# Persian and Indian scripts need joiners between letters, and so do emoji of several persons. Hebrew and Arabic
# names may have direction marks. They are refused at the beginning and the end, where they are mostly left-overs.
_INSIDE_NAMES: Final = "\u200c\u200d\u200e\u200f\u061c"
# Zero width, soft hyphen, tags, and what reverses the text around it.
_HIDDEN: Final = re.compile("[\u00ad\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")
# Characters that show nothing although their category is that of a letter, a mark or a symbol: fillers, variation
# selectors, and the Braille pattern without dots.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# Control, format, surrogate, private use, unassigned; separators have a reason of their own.
_INVISIBLE_CATEGORIES: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))


def check_id(value: str) -> None:
    """Raise ValueError, saying why, unless each character of the id can be seen.

    Of two ids that look the same, a person would pay the wrong one. Rare names may need characters of private use,
    or newer ones than this Python knows; ids do not.
    """
    check_text(value)
    for character in value:
        if character.isspace():
            raise ValueError("must not contain white space")
        if unicodedata.category(character) in _INVISIBLE_CATEGORIES or _BLANK.match(character):
            raise ValueError(f"must not contain invisible or unassigned characters ({_code_point(character)})")


def check_name(value: str) -> None:
    """Raise ValueError, saying why, unless the name shows, and nothing in it hides or reverses other text."""
    check_text(value)
    if hidden := _HIDDEN.search(value):
        raise ValueError(f"must not contain the invisible character {_code_point(hidden[0])}")
    for character in (value[0], value[-1]):
        if character in _INSIDE_NAMES:
            raise ValueError(f"must not begin or end with the invisible character {_code_point(character)}")


def check_text(value: str, *, lines: bool = False) -> None:
    """Raise ValueError, saying why, if the text shows nothing or has control characters (`lines` may end)."""
    if not value:
        raise ValueError("must not be empty")
    if all(map(_shows_nothing, value)):
        raise ValueError("must have a visible character")
    if (_CONTROL_IN_LINES if lines else _CONTROL).search(value):
        raise ValueError("must not contain control characters")


def _shows_nothing(character: str) -> bool:
    # A combining mark shows only on another character.
    return (
        character.isspace()
        or unicodedata.category(character) in ("Cf", "Mn", "Mc", "Me")
        or _BLANK.match(character) is not None
    )


def _code_point(character: str) -> str:
    return f"U+{ord(character):04X}"
