-- Transfers of more than any payer has, each with a new order id: they are recorded as declined.
require "bench.load.common"

function request()
  local payer, payee = draw_pair()
  return post("/transfer",
    "orderId=" .. new_id() .. "&fromuserId=" .. payer .. "&touserId=" .. payee .. "&amount=99999999.00")
end
