"""Values of fields for random requests: valid ones by a field's kind and name, and broken ones."""

import json
import random
import re
from collections import defaultdict, deque
from functools import lru_cache
from itertools import count
from typing import Final, NamedTuple
from urllib.parse import quote_plus

from myaccount.controller.body import JsonNumber
from myaccount.controller.field_kinds import ACCOUNT, AMOUNT, CURRENCY, FLAG, IDENTIFIER, IDENTIFIERS, MOMENT
from myaccount.controller.operation import Field

# Of each user, and of the user's first account.
USERS: Final = (
    "u1", "u2", "u3", "u4", "u5", "u6", "张三", "e\u0301", "\U0001f600" * 45, "a&b=c%2B+", "'\"\\", "null",
)  # fmt: skip
# In another currency, of the first user.
YEN_ACCOUNT: Final = "yen"
TEAM: Final = "staff"
# No log may have it.
CARD: Final = "6222999988887777"
AMOUNTS: Final = ("1", "0.01", "2.50", "10", "99.99", "7", "300")
MOST: Final = "999999999999.99"
MOMENTS: Final = ("2026-01-02T03:04:05Z", "2100-01-01T00:00:00+08:00", "0001-01-01T00:00:00Z",
                  "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00")  # fmt: skip
# Where these ids are new.
OPENED: Final = (("/openacc", "user"), ("/openacc", "account"), ("/addaccount", "account"))
# How many of the newest ids others refer to.
REMEMBERED: Final = 50


class Value(NamedTuple):
    """A value as it is meant, and as it stands in a form and in JSON."""

    text: str
    form: str
    json: str


@lru_cache(4096)
def text(value: str) -> Value:
    return Value(value, quote_plus(value, errors="surrogatepass"), json.dumps(value))


def bare(value: str) -> Value:
    """Return a value that has no quotes in JSON, such as a number."""
    return Value(value, quote_plus(value), value)


BROKEN: Final = tuple(
    map(
        text,
        [
            "", " ", "a" * 46, "a" * 201, "b" * 2001, "9" * 20, "9" * 400, "9" * 5000, "张" * 46, "a b", " a",
            # Control characters, invisible and blank ones, and what is no character.
            "\x00", "a\x00b", "a\nb", "a\r\nX-Injected: 1", "a\tb", "\x7f", "\x85", "\u200b", "a\u200bb",
            "a\u202eb", "\ufeffa", "\u00ad", "\u3164", "\u2800", "\u0301", "\ue000", "\ufdd0", "\uffff",
            "\U0010ffff", "\ud800", "a\udfffb", "\U000e0041", "\uff11", "\u0661", "\u2028", "\xa0", "\xff",
            # Numbers at and beyond limits.
            "0", "0.00", "-0", "-1", "+1", "00", "01.00", "1.005", "0.001", "1e3", "1E400", "NaN", "Infinity",
            "0x10", "1_000", "1,000", "1.", ".5", "1/2", "1000000000000", "999999999999.991",
            "9999999999999.99", "99999999999999.9999", "2147483648", "4294967296", "9223372036854775806",
            "9223372036854775807", "9223372036854775808", "18446744073709551616", "31536001",
            # Times and places of pages.
            "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "2026-02-30T00:00:00Z",
            "2026-01-01T24:00:00Z", "2026-01-01T00:00Z", "2026-01-01T00:00:00+99:99", "unread-0",
            "read-9223372036854775806", "read-9223372036854775807", "unread-", "-",
            # What other programs understand.
            "true", "null", "[]", "{}", "' OR 1=1 --", "`", "%", "%s", "%(x)s", "{0}", "${HOME}", "\\", "<b>",
            "../../etc/passwd", "outside CNY", " nobody", "XAU", "cny", "\"},{\"a\":\"",
        ],
    )
)  # fmt: skip
BROKEN_JSON: Final = tuple(
    map(
        bare,
        [
            "null", "true", "false", "0", "-0", "-0.0", "1.5", "1e3", "1E+2", "1e999", "-1e-999", "9" * 5000,
            "NaN", "-Infinity", "[]", "{}", "[[]]", "[null]", '["u1", "u1"]', '["u1", 1]', '[""]', "[1, 2]",
            '{"a": 1, "a": 2}', '{"type": "transfer"}', '"\\ud800"', '"\\u0000"', "[" * 500 + "]" * 500,
            "[" * 20000, '"open', "1 2", "01", "'u1'", "undefined", ",", "[" + "1," * 2000 + "1]",
        ],
    )
)  # fmt: skip


class Values:
    """Makes values. It knows the ids that it made, so that others can refer to them."""

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._numbers = count(1)
        # By what they are ids of: an order's is its type.
        self._made: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def broken(self) -> Value:
        return self._random.choice(self._random.choice((BROKEN, BROKEN, BROKEN_JSON)))

    def valid(self, path: str, name: str, field: Field) -> Value:
        """Return a value that the field of the operation takes."""
        pick, kind = self._random.choice, field.kind
        if kind is IDENTIFIER or kind is ACCOUNT:
            return text(self._id(path, name, field))
        if kind is IDENTIFIERS:
            users = [pick(USERS) for _ in range(pick((1, 2, 3)))]
            return pick((text(" ".join(users)), bare(json.dumps(users))))
        if name == "cardNum":
            return text(CARD)
        if kind is CURRENCY:
            return text(pick(("CNY", "CNY", "CNY", "JPY", "KWD")))
        if kind is AMOUNT:
            return pick((text, bare))(MOST if self._random.random() < 0.01 else pick(AMOUNTS))
        if kind is MOMENT:
            return text(pick(MOMENTS))
        if kind is FLAG:
            return pick((text, bare))(pick(("true", "false")))
        if kind.choices:
            # The first is the most usual one.
            return text(pick((kind.choices[0], pick(kind.choices))))
        # Some examples show several values.
        example = pick(re.split(" / |, ", field.example))
        return bare(example) if kind.json_type is JsonNumber and pick((True, False)) else text(example)

    def _id(self, path: str, name: str, field: Field) -> str:
        """Return an id of what the name of the field says."""
        pick, what = self._random.choice, name.lower().removesuffix("id")
        if field.fresh:
            return self._new(path.removeprefix("/"))
        if what == "bulk" or (path, what) in OPENED:
            return self._new(what)
        if what.endswith("order"):
            kind = what.removesuffix("order")
            return self._earlier(
                kind if kind in self._made else pick(("recharge", "transfer", "withdraw", "capture"))
            )
        if what.endswith(("user", "receiver")):
            return self._earlier("user") if self._random.random() < 0.1 else pick(USERS)
        if what.endswith("account"):
            if self._random.random() < 0.2:
                return self._earlier("account")
            return YEN_ACCOUNT if self._random.random() < 0.1 else account_of(pick(USERS))
        return TEAM if what == "team" else field.example

    def _new(self, what: str) -> str:
        id_ = f"{what[:3]}{next(self._numbers)}"
        if self._random.random() < 0.1:
            id_ = self._random.choice((id_.ljust(45, "."), f"订单-{id_}", f"\U0001f600%41+&=;{id_}"))
        self._made[what].append(id_)
        return id_

    def _earlier(self, what: str) -> str:
        made = self._made[what]
        return self._random.choice(made) if made else "nobody"


def account_of(user: str) -> str:
    """Return the id of the user's first account."""
    return f"a{USERS.index(user)}"
