-- Look at, and when asked extend, the leases of the jobs that one worker process holds.
-- KEYS  1 leases  2… one job each
-- ARGV  1 now  2 seconds to extend by, or '0' to look only  3… job id and fence of each job
-- Returns one word a job: 'ok', 'lost', or 'cancel:' with the reason
-- @include prelude
local now, extend, answers = clock(ARGV[1]), tonumber(ARGV[2]), {}
for i = 2, #KEYS do
  local id, fence = ARGV[2 * i - 1], ARGV[2 * i]
  local f = redis.call('HMGET', KEYS[i], 'state', 'fence', 'cancel', 'lease_until')
  if f[1] ~= 'running' or f[2] ~= fence or tonumber(f[4]) <= now then
    answers[i - 1] = 'lost'
  else
    answers[i - 1] = f[3] and ('cancel:' .. f[3]) or 'ok'
    if extend > 0 then
      redis.call('HSET', KEYS[i], 'lease_until', stamp(now + extend))
      redis.call('ZADD', KEYS[1], now + extend, id)
    end
  end
end
return answers
