-- What both ways of using the database alone share: the options, the connection, and the next transfer.

sysbench.cmdline.options = {
  accounts = {"Number of accounts", 10000},
  pattern = {"uniform, or hot: every transfer pays the first account", "uniform"},
}

function thread_init()
  connection = sysbench.sql.driver():connect()
  connection:query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
  -- The first statement begins the transaction, which saves a round trip.
  connection:query("SET SESSION autocommit = 0")
  count = 0
end

-- Returns an order id that is new, and the keys of payer and payee: they begin at 2, the first is the outside world.
function draw()
  count = count + 1
  local payer = sysbench.rand.uniform(3, sysbench.opt.accounts + 1)
  local payee = 2
  if sysbench.opt.pattern == "uniform" then
    repeat payee = sysbench.rand.uniform(2, sysbench.opt.accounts + 1) until payee ~= payer
  end
  return string.format("%d-%d-%d", sysbench.tid, count, sysbench.rand.uniform(1, 1000000000)), payer, payee
end
