"""A message's title and text, in the reader's language, from the templates of `templates/messages`."""

import json
from functools import cache
from typing import Any, Final

import jinja2

from ..resources import resource
from ..store.inbox import Message

# The first is the default.
LANGUAGES: Final = ("zh", "en")

# Plain text, which whoever shows it escapes as its page wants it.
_templates: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(resource("templates/messages")),
    autoescape=False,  # noqa: S701
)


def described(message: Message, language: str) -> tuple[str, dict[str, Any]]:
    """Return the title, and the body with its text; a note has those that its writer gave it."""
    body = json.loads(message.body)
    if message.title:
        return message.title, body
    write = getattr(_texts(language), message.message_type)
    title, _, text = write(message, body).strip().partition("\n")
    return title, {**body, "text": text.strip()}


@cache
def _texts(language: str) -> Any:
    """Return the language's templates; each message type is a macro, whose first line is the title."""
    return _templates.get_template(f"{language}.txt").module
