-- Balance queries. Arguments as those of transfer.lua.
require "bench.load.done"

local form = {["Content-Type"] = "application/x-www-form-urlencoded"}
local accounts

function init(arguments)
  accounts = tonumber(arguments[2])
  math.randomseed(tonumber(arguments[4]))
end

function request()
  return wrk.format("POST", "/queryacc", form, "userId=u" .. math.random(accounts))
end
