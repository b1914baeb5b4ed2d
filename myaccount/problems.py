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
        "unauthenticated",
        401,
        "The service wants an API key, and the request has none that works: it may be unknown, wrong, expired or "
        "revoked. Send `Authorization: Bearer mak_...`. Operators sign in at `/signin`; there it means that the "
        "name or the password is wrong. No order was recorded.",
        "服务要求 API 密钥，而请求没有有效的密钥：可能缺失、错误、已过期或已吊销。"
        "请发送 `Authorization: Bearer mak_...`。操作员请在 `/signin` 登录；"
        "登录时此错误码表示名称或密码错误。未记录订单。",
    ),
    Problem(
        "not_allowed",
        403,
        "The key, the user's token or the operator's role does not have the scope that this needs, or it is not "
        "for such callers at all; `detail` tells. Nothing was recorded.",
        "密钥、用户令牌或操作员的角色没有所需的权限范围，或者此类调用方不能使用该接口，详见 `detail`。"
        "请求未产生任何记录。",
    ),
    Problem(
        "not_a_member",
        403,
        "Only members may read a team's messages or write to the team. Nothing was recorded.",
        "只有团队成员可以查看团队消息或给团队留言。请求未产生任何记录。",
    ),
    Problem(
        "unknown_host",
        403,
        "The request's `Host` is neither a loopback name or address nor one of the `hosts` in the configuration, "
        "or it is a loopback one and a proxy passed the request on. Nothing was recorded. Use one of `hosts`, or "
        "have the service's operator add the name. A proxy must pass on the `Host` that the client sent.",
        "请求的 `Host` 既不是本机回环名称或地址，也不在配置项 `hosts` 中；或者它是回环名称，而请求经由代理转发。"
        "请求未产生任何记录。请改用 `hosts` 中的名称，或请运维人员加入该名称。"
        "反向代理须原样转发客户端发送的 `Host`。",
    ),
    Problem(
        "cross_site",
        403,
        "Another site made the browser send this request, as `Sec-Fetch-Site` or `Origin` shows. Nothing was "
        "recorded. Use the service's own pages. A proxy must pass on the `Host` that the browser sent.",
        "请求由其他网站经浏览器发起（见 `Sec-Fetch-Site` 或 `Origin`）。请求未产生任何记录。"
        "请使用本服务自己的页面。反向代理须原样转发浏览器发送的 `Host`。",
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
    Problem(
        "account_exists",
        409,
        "The account id is taken. With `Idempotent-Replayed: true`, this same account was added before.",
        "账户ID已被占用。若响应头带有 `Idempotent-Replayed: true`，说明同样的账户此前已增开成功。",
    ),
    Problem(
        "account_in_use",
        409,
        "The account has a balance or a hold, so it cannot be closed. Move the money out first.",
        "账户仍有余额或冻结金额，不能销户。请先转出余额。",
    ),
    Problem(
        "limit_in_use",
        409,
        "The available balance would be below this limit now. Nothing was changed.",
        "当前可用余额将低于该下限，未作修改。",
    ),
    Problem(
        "currency_mismatch",
        409,
        "The currency differs from the account's, or the two accounts have different ones. Nothing was recorded.",
        "币种与账户的币种不同，或双方账户币种不同。请求被拒绝，未记录订单。",
    ),
    Problem(
        "not_refundable",
        409,
        "Only a posted recharge, transfer, withdrawal or capture can be refunded. Nothing was recorded.",
        "只有成功的充值、转账、提现和请款可以退款。请求被拒绝，未记录订单。",
    ),
    Problem(
        "not_a_hold",
        409,
        "The order is not a hold, or was declined. Nothing was recorded.",
        "该订单不是预授权，或预授权未成功。请求被拒绝，未记录订单。",
    ),
    Problem(
        "insufficient_funds",
        409,
        "The payer's available balance does not cover the amount. The order is recorded as declined, which is "
        "final: to try again, use a new order id.",
        "付款方的可用余额不足。已记为一笔失败订单（declined），结果不再改变；如需重试，请换新的订单号。",
    ),
    Problem(
        "account_frozen",
        409,
        "The payer's account may not pay now, or the payee's not receive. The order is recorded as declined, "
        "which is final: to try again, use a new order id.",
        "付款方或收款方账户已冻结。已记为一笔失败订单（declined），结果不再改变；解冻账户后如需重试，请换新的订单号。",
    ),
    Problem(
        "account_closed",
        409,
        "The account is closed for ever. An order is recorded as declined, which is final.",
        "账户已销户。订单已记为一笔失败订单（declined），结果不再改变。",
    ),
    Problem(
        "hold_expired",
        409,
        "The hold has expired: its money is available again. The order is recorded as declined, which is final.",
        "预授权已到期，冻结金额已自动解冻。已记为一笔失败订单（declined），结果不再改变。",
    ),
    Problem(
        "hold_ended",
        409,
        "The hold was captured or released already. The order is recorded as declined, which is final.",
        "预授权已完成或已撤销。已记为一笔失败订单（declined），结果不再改变。",
    ),
    Problem(
        "capture_exceeds_hold",
        409,
        "The amount is more than what is left of the hold. The order is recorded as declined, which is final.",
        "请款金额超过预授权的剩余金额。已记为一笔失败订单（declined），结果不再改变。",
    ),
    Problem(
        "refund_exceeds_order",
        409,
        "The amount is more than what is left of the order to refund. The order is recorded as declined, "
        "which is final.",
        "退款金额超过原订单的可退金额。已记为一笔失败订单（declined），结果不再改变。",
    ),
    Problem(
        "bulk_declined",
        409,
        "Another order of the atomic bulk was declined, so this one was too. It is recorded as declined, "
        "which is final.",
        "同一原子批量中的另一笔订单失败，因此本笔也失败。已记为一笔失败订单（declined），结果不再改变。",
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
        "The body is over the limit: 1 MiB for `/bulk`, 64 KiB for `/teammessage`, 16 KiB elsewhere.",
        "请求体超过上限：`/bulk` 为 1 MiB，`/teammessage` 为 64 KiB，其他接口为 16 KiB。",
    ),
    Problem(
        "unsupported_media_type",
        415,
        "The body is neither a form (application/x-www-form-urlencoded) nor JSON, or not plain UTF-8. `/bulk` "
        "takes JSON only.",
        "请求体既不是表单（`application/x-www-form-urlencoded`）也不是 JSON，或者不是未压缩的 UTF-8 文本。"
        "`/bulk` 只接受 JSON。",
    ),
    Problem(
        "order_mismatch",
        422,
        "The order id, or the bulk id, was used before with other content. Use a new id for a new order or bulk.",
        "该订单号或批次号此前已用于不同的内容。新订单、新批次请使用新的编号。",
    ),
    Problem(
        "rate_limited",
        429,
        "The key sends more requests a second than it may; or too many requests with a user's token are under way "
        "at once; or, at `/signin`, there were ten wrong passwords within 15 minutes for this name or from this "
        "address. Wait the seconds of `Retry-After`, then send the same request again. Nothing was recorded.",
        "该密钥每秒的请求数超过限流；或者该用户令牌同时发出的请求过多；"
        "或者在 `/signin`，该名称或该地址 15 分钟内已有十次密码错误。"
        "请按 `Retry-After` 的秒数等待后重发同一请求。请求未产生任何记录。",
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
        "Too many orders are waiting, too many streams are open, or too many large requests arrive at once. Wait "
        "the seconds of `Retry-After`, then send the same order id again.",
        "排队的订单、打开的实时消息连接或同时到达的大请求过多。请按 `Retry-After` 的秒数等待，"
        "再用同一订单号重发。",
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
