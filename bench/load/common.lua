-- What all loads share: the arguments, drawing accounts and order ids, requests, and the report.
-- Arguments: uniform or hot (every transfer pays the first account), the number of accounts, a prefix for the ids, a
-- seed, and an API key, if the service wants one.

local form = {["Content-Type"] = "application/x-www-form-urlencoded"}
local pattern, accounts, prefix
local count = 0

-- How many operations one reply completes.
per_reply = 1

function init(arguments)
  pattern, accounts, prefix = arguments[1], tonumber(arguments[2]), arguments[3]
  math.randomseed(tonumber(arguments[4]))
  if arguments[5] then form["Authorization"] = "Bearer " .. arguments[5] end
end

function new_id()
  count = count + 1
  return prefix .. count
end

function draw_user()
  return "u" .. math.random(accounts)
end

-- Returns two different users.
function draw_pair()
  local payer = math.random(accounts)
  local payee = pattern == "hot" and 1 or math.random(accounts - 1)
  if payee == payer then
    if pattern == "hot" then payer = 2 else payee = accounts end
  end
  return "u" .. payer, "u" .. payee
end

function post(path, body)
  return wrk.format("POST", path, form, body)
end

-- Prints what the run came to, as one line of JSON.
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "per_reply": %g, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, '
      .. '"refused": %d, "failed": %d}\n',
    summary.requests, per_reply, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
