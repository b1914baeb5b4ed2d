"""The errors that the wire contract names: code, HTTP status, and what each means in English and in Chinese.

The middleware takes the status from here. The page `/errors` shows the table: backticks in a meaning set off the
names of fields, headers and types.
"""

from typing import Final, NamedTuple


class Problem(NamedTuple):
    """A code, its HTTP status, and its meaning for people who call the service."""

    code: str
    status: int
    english: str
    chinese: str


PROBLEMS: Final = (
    Problem(
        "invalid_request",
        400,
        "A field is missing, empty, too long, repeated, unknown, not text, or not an amount; `field` names it. "
        "Correct the request.",
        "字段缺失、为空、过长、重复、未知、不是文本或不是合法金额；`field` 给出字段名。请修正后再发送。",
    ),
    Problem(
        "same_account",
        400,
        "Payer and payee are the same account. Nothing was recorded.",
        "付款方与收款方是同一个账户。请求被拒绝，未记录订单。",
    ),
    Problem(
        "not_a_member",
        403,
        "Only members may read a team's messages or write to the team. Nothing was recorded.",
        "只有团队成员可以查看团队消息或给团队留言。请求未产生任何记录。",
    ),
    Problem(
        "user_not_found",
        404,
        "There is no user by that id. Nothing was recorded.",
        "用户不存在。请求被拒绝，未记录订单。",
    ),
    Problem(
        "account_not_found",
        404,
        "There is no account by that id. Nothing was recorded.",
        "账户不存在。请求被拒绝，未记录订单。",
    ),
    Problem(
        "team_not_found",
        404,
        "There is no team by that id. Nothing was recorded.",
        "团队不存在。请求未产生任何记录。",
    ),
    Problem("order_not_found", 404, "There is no order by that id.", "订单不存在。"),
    Problem("not_found", 404, "There is nothing at that address.", "地址不存在。"),
    Problem(
        "method_not_allowed",
        405,
        "This address does not take this method. The header `Allow` lists those it takes.",
        "该地址不支持此请求方法；支持的方法见响应头 `Allow`。",
    ),
    Problem("request_timeout", 408, "The body did not arrive in time.", "未能按时收到完整的请求体。"),
    Problem(
        "user_exists",
        409,
        "The user id is taken. With `Idempotent-Replayed: true`, this same opening succeeded before.",
        "用户ID已被占用。若响应头带有 `Idempotent-Replayed: true`，说明同样的开户请求此前已成功。",
    ),
    Problem("account_exists", 409, "The account id is taken.", "账户ID已被占用。"),
    Problem(
        "insufficient_funds",
        409,
        "The payer's balance would go below its floor. The order is recorded as declined, which is final: "
        "to try again, use a new order id.",
        "余额不足：付款方余额将低于下限。已记为一笔失败订单（declined），结果不再改变；如需重试，请换新的订单号。",
    ),
    Problem(
        "balance_too_large",
        409,
        "A balance would be more than an account can hold. The order is recorded as declined, which is final.",
        "入账后余额将超出账户上限。已记为一笔失败订单（declined），结果不再改变。",
    ),
    Problem(
        "payload_too_large",
        413,
        "The body is over the limit: 16 KiB, for `/teammessage` 64 KiB.",
        "请求体超过上限：16 KiB，`/teammessage` 为 64 KiB。",
    ),
    Problem(
        "unsupported_media_type",
        415,
        "The body is neither a form (application/x-www-form-urlencoded) nor JSON, or not plain UTF-8.",
        "请求体既不是表单（`application/x-www-form-urlencoded`）也不是 JSON，或者不是未压缩的 UTF-8 文本。",
    ),
    Problem(
        "order_mismatch",
        422,
        "The order id was used before with other content. Use a new id for a new order.",
        "该订单号此前已用于内容不同的订单。新订单请使用新的订单号。",
    ),
    Problem(
        "internal_error",
        500,
        "The service failed. Its log has the cause, under the id in the header `X-Request-ID`.",
        "服务内部错误。请凭响应头 `X-Request-ID` 在日志中查找原因。",
    ),
    Problem(
        "overloaded",
        503,
        "Too many orders are waiting, or too many streams are open. Wait the seconds of `Retry-After`, then send "
        "the same order id again.",
        "排队的订单或打开的实时消息连接过多。请按 `Retry-After` 的秒数等待，再用同一订单号重发。",
    ),
    Problem(
        "unavailable",
        503,
        "The database does not answer. Wait the seconds of `Retry-After`, then send the same order id again.",
        "数据库暂时不可用。请按 `Retry-After` 的秒数等待，再用同一订单号重发。",
    ),
)

STATUS_BY_CODE: Final = {problem.code: problem.status for problem in PROBLEMS}
# Details of replies are plain text.
DETAIL_BY_CODE: Final = {problem.code: problem.english.replace("`", "") for problem in PROBLEMS}
