-- Transfers, each with a new order id.
require "bench.load.common"

function request()
  local payer, payee = draw_pair()
  return post("/transfer",
    "orderId=" .. new_id() .. "&fromuserId=" .. payer .. "&touserId=" .. payee .. "&amount=0.01")
end
