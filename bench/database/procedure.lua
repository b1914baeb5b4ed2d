-- The database alone: one stored-procedure call a transfer.

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
  connection:query(string.format("CALL transfer('%d-%d-%d', %d, %d, 1)",
    sysbench.tid, count, sysbench.rand.uniform(1, 1000000000), payer, payee))
end
