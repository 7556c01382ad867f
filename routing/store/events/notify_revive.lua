-- Let dead letters be sent again, now.
-- KEYS  1 sink  2 notes: id -> record  3 due: when each is to be sent  4 dead
-- ARGV  1 now  2… id and new record of each
-- Returns how many of them were dead
-- @include prelude
local sink, notes, due, dead = unpack(KEYS)
local now, revived = clock(ARGV[1]), 0
for i = 2, #ARGV, 2 do
  if redis.call('ZREM', dead, ARGV[i]) == 1 then
    redis.call('HSET', notes, ARGV[i], ARGV[i + 1])
    redis.call('ZADD', due, now, ARGV[i])
    revived = revived + 1
  end
end
if revived > 0 then redis.call('HDEL', sink, 'failures', 'quiet_until') end
return revived
