-- The database alone: one transfer a transaction, statement by statement, with the same locking, lookups
-- and rows as the service.

require "bench.database.draw"

function event()
  local order_id, payer, payee = draw()
  connection:query("BEGIN")
  connection:query("SELECT status FROM `order` WHERE order_id = '" .. order_id .. "'")
  local rows = connection:query(string.format(
    "SELECT id, balance, floor FROM account WHERE id IN (%d, %d) ORDER BY id FOR UPDATE", payer, payee))
  local balances = {}
  for _ = 1, rows.nrows do
    local row = rows:fetch_row()
    balances[tonumber(row[1])] = tonumber(row[2])
  end
  local from_balance, to_balance = balances[payer] - 1, balances[payee] + 1
  connection:query(string.format(
    "INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, from_balance, to_balance, "
      .. "status, created_at) VALUES ('%s', '02', %d, %d, 1, %d, %d, 'posted', UTC_TIMESTAMP(6))",
    order_id, payer, payee, from_balance, to_balance))
  connection:query(string.format("UPDATE account SET balance = %d WHERE id = %d", from_balance, payer))
  connection:query(string.format("UPDATE account SET balance = %d WHERE id = %d", to_balance, payee))
  connection:query("COMMIT")
end
