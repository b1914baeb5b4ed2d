"""Messages as readers see them, in their language, by the templates in `templates/messages`."""

import json
from functools import cache
from typing import Any, Final

import jinja2

from ..database.times import iso_time
from ..settings.paths import template_loader
from .queries import Message

# The first is the default.
LANGUAGES: Final = ("zh", "en")

# Each type has a macro in the templates, except `note`, whose text its writer chose.
MESSAGE_TYPES: Final = (
    "account_opened",
    "account_added",
    "account_frozen",
    "account_closed",
    "limit_changed",
    "recharge",
    "transfer_out",
    "transfer_in",
    "withdraw",
    "refund_out",
    "refund_in",
    "hold",
    "capture_out",
    "capture_in",
    "hold_extended",
    "hold_released",
    "hold_expired",
    "decline",
    "note",
)

# Plain text. Pages escape it themselves.
_templates: Final = jinja2.Environment(
    loader=template_loader("templates/messages"),
    autoescape=False,  # noqa: S701
)


def message_row(message: Message, language: str) -> dict[str, Any]:
    """Return the message as JSON replies and streams contain it."""
    title, body = _title_and_body(message, language)
    return {
        "NID": message.id,
        "KIND": "team" if message.team_id else "account",
        "MESSAGE_TYPE": message.message_type,
        "USER_ID": message.user_id or None,
        "USERNAME": message.user_name or None,
        "TEAM_ID": message.team_id or None,
        "TEAM_NAME": message.team_name or None,
        "READER_ID": message.reader_id,
        "RECEIVER_ID": message.receiver_id or None,
        "TITLE": title,
        "BODY": body,
        "CREATE_TIME": iso_time(message.created_at),
        "READ": not message.unread,
    }


def _title_and_body(message: Message, language: str) -> tuple[str, dict[str, Any]]:
    """Return the title, and the body with its text. A note has those that its writer gave it."""
    body = json.loads(message.body)
    if message.title:
        return message.title, body
    write = getattr(_macros(language), message.message_type)
    title, _, text = write(message, body).strip().partition("\n")
    return title, {**body, "text": text.strip()}


@cache
def _macros(language: str) -> Any:
    """Return the macros of a language, one for each message type. The first line of each is the title."""
    return _templates.get_template(f"{language}.txt").module
