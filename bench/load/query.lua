-- Balance queries.
require "bench.load.common"

function request()
  return post("/queryacc", "userId=" .. draw_user())
end
