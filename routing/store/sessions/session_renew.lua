-- Look at, and when asked extend, the leases of turns.
-- KEYS  1 turns  2… one session each
-- ARGV  1 now  2 seconds to extend by, or '0' to look only  3 retention, seconds
--       4 'active' when events came (of all these turns), or ''  5… name and fence of each session
-- Returns one word a session: 'ok', 'lost', or 'stop:' with the kind and the reason
-- @include prelude
-- @include session
local now, extend, answers = clock(ARGV[1]), tonumber(ARGV[2]), {}
for i = 2, #KEYS do
  local session, name, fence = KEYS[i], ARGV[2 * i + 1], ARGV[2 * i + 2]
  local f = redis.call('HMGET', session, 'lease_until', 'stop')
  if not holds(session, fence) or tonumber(f[1]) <= now then
    answers[i - 1] = 'lost'
  else
    answers[i - 1] = f[2] and ('stop:' .. f[2]) or 'ok'
    if ARGV[4] == 'active' then
      redis.call('HSET', session, 'last_activity', stamp(now))
      redis.call('HDEL', session, 'stage')
    end
    if extend > 0 then
      redis.call('HSET', session, 'lease_until', stamp(now + extend))
      redis.call('ZADD', KEYS[1], now + extend, name)
      redis.call('EXPIRE', session, ARGV[3])
    end
  end
end
return answers
