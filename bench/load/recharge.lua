-- Recharges, each with a new order id.
require "bench.load.common"

function request()
  return post("/recharge", "orderId=" .. new_id() .. "&userId=" .. draw_user() .. "&amount=0.01")
end
