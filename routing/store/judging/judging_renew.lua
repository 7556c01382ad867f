-- Look at, and when asked extend, the leases of the pairs that one worker process judges.
-- KEYS  judging, trials_open, backtests_open, and for each pair  pair, owner: record of the job that it is called by
-- ARGV  extend_seconds: '0' to look only, and for each pair  id, fence
-- Returns a word for each pair: 'held', 'late' (held, but it has run out: extend it), 'lost', or 'stop:' with the reason
--         for which its judging is to end
-- @include prelude
-- @include needed
local now, extend, answers = clock(time), tonumber(extend_seconds), {}
for pair, owner, id, fence in each() do
  local f = redis.call('HMGET', pair, 'state', 'fence', 'lease_until')
  local held = f[1] == 'running' and f[2] == fence
  local over = not_needed(owner, trials_open, backtests_open)
  local late = held and extend == 0 and tonumber(f[3]) <= now
  answers[#answers + 1] = not held and 'lost' or over and 'stop:' .. over or late and 'late' or 'held'
  if held and extend > 0 then
    redis.call('HSET', pair, 'lease_until', stamp(now + extend))
    redis.call('ZADD', judging, now + extend, id)
  end
end
return answers
