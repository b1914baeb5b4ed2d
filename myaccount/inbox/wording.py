"""Messages as readers see them, in their language, by the templates in `templates/messages`."""

import json
from functools import cache
from json.encoder import encode_basestring
from typing import Any, Final

from ..database.times import iso_time
from ..settings.paths import template_loader
from .inlined_macros import InliningEnvironment
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
_templates: Final = InliningEnvironment(
    loader=template_loader("templates/messages"),
    autoescape=False,
)


_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


def message_text(message: Message, language: str) -> str:
    """Return the message as JSON, as replies and streams contain it.

    It is written here and not encoded as a dict, which takes twice as long: a page has up to a hundred.
    """
    title, body = _title_and_body(message, language)
    kind, is_read = "team" if message.team_id else "account", "false" if message.unread else "true"
    return (
        f'{{"NID": {message.id}, "KIND": "{kind}", "MESSAGE_TYPE": {encode_basestring(message.message_type)},'
        f' "USER_ID": {_text(message.user_id)}, "USERNAME": {_text(message.user_name)},'
        f' "TEAM_ID": {_text(message.team_id)}, "TEAM_NAME": {_text(message.team_name)},'
        f' "READER_ID": {encode_basestring(message.reader_id)}, "RECEIVER_ID": {_text(message.receiver_id)},'
        f' "TITLE": {encode_basestring(title)}, "BODY": {_encode(body)},'
        f' "CREATE_TIME": "{iso_time(message.created_at)}", "READ": {is_read}}}'
    )


def _text(value: str) -> str:
    """Return the value as JSON, of which an empty one is null."""
    return encode_basestring(value) if value else "null"


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
