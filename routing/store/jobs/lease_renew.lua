-- Look at, and when asked extend, the leases of the jobs that one worker process holds.
-- KEYS  leases, trials_open, backtests_open, and for each job  job
-- ARGV  extend_seconds: '0' to look only, and for each job  id, fence
-- Returns a word for each job: 'held', 'late' (held, as nobody has taken it, but it has run out: extend it), 'lost',
--         or 'stop:' with the reason for which its work is to end
-- @include prelude
local now, extend, answers = clock(time), tonumber(extend_seconds), {}
for job, id, fence in each() do
  local f = redis.call('HMGET', job, 'state', 'fence', 'cancel', 'lease_until', 'backtest', 'shadow', 'trial')
  local held = f[1] == 'running' and f[2] == fence
  local over = nil -- nobody needs a shadow's work any more
  if f[5] then over = redis.call('SISMEMBER', backtests_open, f[5]) == 0 and 'its backtest has ended'
  elseif f[6] then over = redis.call('SISMEMBER', trials_open, f[7] or '') == 0 and 'its trial has ended' end
  local stop = f[3] or over
  local late = held and extend == 0 and tonumber(f[4]) <= now
  answers[#answers + 1] = not held and 'lost' or stop and 'stop:' .. stop or late and 'late' or 'held'
  if held and extend > 0 then
    redis.call('HSET', job, 'lease_until', stamp(now + extend))
    redis.call('ZADD', leases, now + extend, id)
  end
end
return answers
