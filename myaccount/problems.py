"""The errors that the wire contract names: code, HTTP status, and what each means.

The middleware takes the status from here and the page `/errors` shows the table.
"""

from typing import Final

ERRORS: Final[tuple[tuple[str, int, str], ...]] = (
    (
        "invalid_request",
        400,
        "A field is missing, empty, too long, repeated, unknown, not text, or not an amount; "
        "`field` names it. Correct the request.",
    ),
    ("same_account", 400, "Payer and payee are one account."),
    ("not_a_member", 403, "Only members may read a team's messages or write to the team. Nothing was written."),
    ("user_not_found", 404, "There is no user by that id. Nothing was recorded."),
    ("account_not_found", 404, "There is no account by that id. Nothing was recorded."),
    ("team_not_found", 404, "There is no team by that id. Nothing was recorded."),
    ("order_not_found", 404, "There is no order by that id."),
    ("not_found", 404, "There is nothing at that address."),
    (
        "method_not_allowed",
        405,
        "That address does not take this method; the header Allow tells which it takes.",
    ),
    ("request_timeout", 408, "The body did not arrive in time."),
    ("user_exists", 409, "The user id is taken."),
    ("account_exists", 409, "The account id is taken."),
    (
        "insufficient_funds",
        409,
        "The payer's balance would go below its floor. The order is recorded as declined: "
        "to try again, use a new order id.",
    ),
    (
        "balance_too_large",
        409,
        "A balance would be more than an account can hold. The order is recorded as declined.",
    ),
    ("payload_too_large", 413, "The body is over the route's limit, 16 KiB."),
    (
        "unsupported_media_type",
        415,
        "The body is neither a form (application/x-www-form-urlencoded) nor JSON, or not plain UTF-8.",
    ),
    (
        "order_mismatch",
        422,
        "The order id was used before with other content. Use a new id for a new order.",
    ),
    ("internal_error", 500, "The service failed; its log tells more under the request id."),
    (
        "overloaded",
        503,
        "Too many orders are waiting. Send the same order id again after the seconds in Retry-After.",
    ),
    (
        "unavailable",
        503,
        "The database cannot be reached. Send the same order id again after the seconds in Retry-After.",
    ),
)

STATUS_BY_CODE: Final = {code: status for code, status, _ in ERRORS}
MEANING_BY_CODE: Final = {code: meaning for code, _, meaning in ERRORS}
