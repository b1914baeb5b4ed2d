-- Pages of 20 messages of inboxes.
require "bench.load.common"

function request()
  return post("/messages", "userId=" .. draw_user() .. "&pageSize=20")
end
