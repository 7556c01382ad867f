-- Look at, and when asked extend, the leases of turns.
-- KEYS  turns, and for each turn  session
-- ARGV  extend_seconds: '0' to look only  retention_seconds, and for each turn  name: of the agent, fence
-- FLAGS active: all of these agents have spoken
-- Returns a word for each turn: 'held', 'late' (held, as nobody has taken it, but it has run out: extend it), 'lost',
--         or 'stop:' with the kind and the reason for which it is to end
-- @include prelude
-- @include session
local now, extend, answers = clock(time), tonumber(extend_seconds), {}
for session, name, fence in each() do
  local f = redis.call('HMGET', session, 'lease_until', 'stop', 'last_activity')
  local held = holds(session, fence)
  local over = held and now - tonumber(f[1]) or -1 -- seconds since it ran out
  answers[#answers + 1] = not held and 'lost' or f[2] and 'stop:' .. f[2] or over >= 0 and extend == 0 and 'late' or 'held'
  if held and active then
    redis.call('HSET', session, 'last_activity', stamp(now))
    redis.call('HDEL', session, 'stage')
  end
  if held and extend > 0 then
    -- Nobody could have heard the agent since the lease ran out: that is not silence.
    if over > 0 and not active then redis.call('HSET', session, 'last_activity', stamp(tonumber(f[3] or now) + over)) end
    redis.call('HSET', session, 'lease_until', stamp(now + extend))
    redis.call('ZADD', turns, now + extend, name)
    redis.call('EXPIRE', session, retention_seconds)
  end
end
return answers
