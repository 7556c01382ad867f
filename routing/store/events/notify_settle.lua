-- Note what became of an attempt to send a notification.
-- KEYS  1 sink  2 notes: id -> record  3 due: when each is to be sent  4 dead
-- ARGV  1 now  2 id  3 'sent', 'later' or 'dead'  4 its record as it is now  5 seconds until the next attempt
--       6 seconds for which the sink is left alone  7 most dead
-- Returns 'ok'|'gone' (another process saw to it)
-- @include prelude
-- @include notify
local sink, notes, due, dead = unpack(KEYS)
local now, id, outcome = clock(ARGV[1]), ARGV[2], ARGV[3]
if not redis.call('ZSCORE', due, id) then return 'gone' end
if outcome == 'later' then
  redis.call('HSET', notes, id, ARGV[4])
  redis.call('ZADD', due, now + tonumber(ARGV[5]), id)
else
  if outcome == 'sent' then
    redis.call('ZREM', due, id)
    redis.call('HDEL', notes, id)
  else
    redis.call('HSET', notes, id, ARGV[4])
    bury(notes, due, dead, id, now, tonumber(ARGV[7]))
  end
end
if tonumber(ARGV[6]) > 0 then
  redis.call('HINCRBY', sink, 'failures', 1)
  redis.call('HSET', sink, 'quiet_until', stamp(now + tonumber(ARGV[6])))
else -- it answered
  redis.call('HDEL', sink, 'failures', 'quiet_until')
end
return 'ok'
