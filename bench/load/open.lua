-- Openings, each of a new user with a new account.
require "bench.load.common"

function request()
  local id = new_id()
  return post("/openacc",
    "userId=" .. id .. "&userName=N&sex=F&cardNum=6222&accountId=" .. id .. "&accountType=01")
end
