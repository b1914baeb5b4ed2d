-- Recharges, each with a fresh order id. Arguments: the number of accounts, a prefix for the ids, a seed.
require "bench.load.done"

local form = {["Content-Type"] = "application/x-www-form-urlencoded"}
local accounts, prefix
local count = 0

function init(arguments)
  accounts, prefix = tonumber(arguments[2]), arguments[3]
  math.randomseed(tonumber(arguments[4]))
end

function request()
  count = count + 1
  return wrk.format("POST", "/recharge", form,
    "orderId=" .. prefix .. count .. "&userId=u" .. math.random(accounts) .. "&amount=0.01")
end
