-- Order queries: each account's first recharge, which made its money.
require "bench.load.common"

function request()
  return post("/querorder", "orderId=opening-" .. draw_user():sub(2))
end
