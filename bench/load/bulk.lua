-- Atomic bulks of 500 transfers.
require "bench.load.common"

local json = {["Content-Type"] = "application/json"}

per_reply = 500

function request()
  local orders = {}
  for place = 1, per_reply do
    orders[place] = string.format(
      '{"type":"transfer","orderId":"%s","fromuserId":"%s","touserId":"%s","amount":"0.01"}', new_id(), draw_pair())
  end
  local body = string.format('{"bulkId":"%s","atomic":true,"orders":[%s]}', new_id(), table.concat(orders, ","))
  return wrk.format("POST", "/bulk", json, body)
end
