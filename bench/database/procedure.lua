-- The database alone: one stored-procedure call a transfer.

require "bench.database.draw"

function event()
  connection:query(string.format("CALL transfer('%s', %d, %d, 1)", draw()))
end
