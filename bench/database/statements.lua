-- The database alone: one transfer a transaction, statement by statement, with the same locking, lookups
-- and rows as the service. One statement writes all rows of a table.

require "bench.database.draw"

local lock = [[SELECT id, balance, floor, last_entry, held, frozen, status, currency, user_id FROM account
WHERE id IN (%d, %d) ORDER BY id FOR UPDATE]]
local find_order = [[SELECT order_type, from_account, to_account, amount, status, reason FROM `order`
WHERE order_id = '%s']]
local insert_order = [[INSERT INTO `order` (order_id, order_type, from_account, to_account, amount, status, created_at)
VALUES ('%s', '02', %d, %d, 1, 'posted', UTC_TIMESTAMP(6))]]
local insert_entries = [[INSERT INTO entry (account, number, order_id, amount, balance)
VALUES (%d, %d, '%s', -1, %d), (%d, %d, '%s', 1, %d)]]
local write_balances = [[UPDATE account SET balance = IF(id = %d, %d, %d), last_entry = last_entry + 1
WHERE id IN (%d, %d)]]
-- The change as the service's events have it.
local insert_event = [=[INSERT INTO event (body, attempts, due_at, created_at) VALUES (
'[["transfer","%s","u%d","u%d",1,%d,%d,null,%d,%d,"CNY","a%d","a%d","transfer",null,null,null,%d,null,null,null]]',
0, UTC_TIMESTAMP(6) + INTERVAL 3 SECOND, UTC_TIMESTAMP(6))]=]

local function run(statement, ...)
  return connection:query(string.format(statement, ...))
end

function event()
  local id, payer, payee = draw()
  local rows = run(lock, payer, payee)
  local accounts = {}
  for _ = 1, rows.nrows do
    local row = rows:fetch_row()
    accounts[tonumber(row[1])] = {balance = tonumber(row[2]), entry = tonumber(row[4]) + 1, held = tonumber(row[5])}
  end
  run(find_order, id)
  local from, to = accounts[payer], accounts[payee]
  local from_balance, to_balance = from.balance - 1, to.balance + 1
  run(insert_order, id, payer, payee)
  run(insert_entries, payer, from.entry, id, from_balance, payee, to.entry, id, to_balance)
  run(write_balances, payer, from_balance, to_balance, payer, payee)
  -- Account n is that of user n - 1.
  run(insert_event, id, payer - 1, payee - 1, from_balance, to_balance, from.entry, to.entry, payer - 1, payee - 1,
    from.held)
  connection:query("COMMIT")
end
