-- Transfers without an amount, which are refused by their form.
require "bench.load.common"

function request()
  local payer, payee = draw_pair()
  return post("/transfer", "orderId=" .. new_id() .. "&fromuserId=" .. payer .. "&touserId=" .. payee)
end
