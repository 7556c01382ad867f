-- Note what became of an attempt to send a notification.
-- KEYS  sink, notes: notification -> its record, due: when each is to be sent, dead
-- ARGV  id  outcome: 'sent', 'later' or 'dead'  record: as it is now  again_seconds: until the next attempt
--       quiet_seconds: for which the sink is left alone; 0 when it answered  most_dead: of this sink
-- Returns 1, or 0 when another process has settled it
-- @include prelude
-- @include notify
local now = clock(time)
-- Only what still waits is settled: a notification that two processes sent is counted once.
if not redis.call('ZSCORE', due, id) then return 0 end
if outcome == 'later' then
  redis.call('HSET', notes, id, record)
  redis.call('ZADD', due, now + tonumber(again_seconds), id)
else
  if outcome == 'sent' then
    redis.call('ZREM', due, id)
    redis.call('HDEL', notes, id)
  else
    redis.call('HSET', notes, id, record)
    bury(notes, due, dead, id, now, tonumber(most_dead))
  end
end
if tonumber(quiet_seconds) > 0 then
  redis.call('HINCRBY', sink, 'failures', 1)
  redis.call('HSET', sink, 'quiet_until', stamp(now + tonumber(quiet_seconds)))
else -- the sink answered
  redis.call('HDEL', sink, 'failures', 'quiet_until')
end
return 1
