-- Replays: each account's first recharge, which made its money, sent again.
require "bench.load.common"

function request()
  local user = draw_user()
  return post("/recharge", "orderId=opening-" .. user:sub(2) .. "&userId=" .. user .. "&amount=1000000.00")
end
