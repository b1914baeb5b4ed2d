-- The database alone: one transfer a transaction, statement by statement, with the same locking, lookups
-- and rows as the service.

sysbench.cmdline.options = {
  accounts = {"Number of accounts", 10000},
  pattern = {"uniform, or hot: every transfer pays the first account", "uniform"},
}

function thread_init()
  connection = sysbench.sql.driver():connect()
  connection:query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
  count = 0
end

function event()
  count = count + 1
  -- Account keys begin at 2: the first is the outside world.
  local payer = sysbench.rand.uniform(3, sysbench.opt.accounts + 1)
  local payee = 2
  if sysbench.opt.pattern == "uniform" then
    repeat payee = sysbench.rand.uniform(2, sysbench.opt.accounts + 1) until payee ~= payer
  end
  local order_id = string.format("%d-%d-%d", sysbench.tid, count, sysbench.rand.uniform(1, 1000000000))
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
