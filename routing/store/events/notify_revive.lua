-- Let dead letters be sent again, now.
-- KEYS  sink, notes: notification -> its record, due: when each is to be sent, dead
-- ARGV  for each notification  id, record: the new one
-- Returns how many of them were dead
-- @include prelude
local now, revived = clock(time), 0
for id, record in each() do
  if redis.call('ZREM', dead, id) == 1 then
    redis.call('HSET', notes, id, record)
    redis.call('ZADD', due, now, id)
    revived = revived + 1
  end
end
if revived > 0 then redis.call('HDEL', sink, 'failures', 'quiet_until') end
return revived
