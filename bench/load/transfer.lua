-- Transfers, each with a fresh order id. Arguments: uniform or hot (every transfer pays the first account), the
-- number of accounts, a prefix for the order ids, a seed.
require "bench.load.done"

local form = {["Content-Type"] = "application/x-www-form-urlencoded"}
local pattern, accounts, prefix
local count = 0

function init(arguments)
  pattern, accounts, prefix = arguments[1], tonumber(arguments[2]), arguments[3]
  math.randomseed(tonumber(arguments[4]))
end

function request()
  count = count + 1
  local payer = math.random(accounts)
  local payee = pattern == "hot" and 1 or math.random(accounts - 1)
  if payee == payer then
    -- Nobody pays himself.
    if pattern == "hot" then payer = 2 else payee = accounts end
  end
  local body = "orderId=" .. prefix .. count .. "&fromuserId=u" .. payer .. "&touserId=u" .. payee .. "&amount=0.01"
  return wrk.format("POST", "/transfer", form, body)
end
