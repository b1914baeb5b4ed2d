-- Pairs of a hold and its capture. Both are sent at once on one connection: the service begins a connection's next
-- request after its reply to the one before, so the hold is committed by then.
require "bench.load.common"

per_reply = 1 / 2

function request()
  local hold = new_id()
  local payer, payee = draw_pair()
  return post("/hold", "orderId=" .. hold .. "&fromuserId=" .. payer .. "&touserId=" .. payee .. "&amount=0.01")
    .. post("/capture", "orderId=" .. new_id() .. "&holdOrderId=" .. hold)
end
