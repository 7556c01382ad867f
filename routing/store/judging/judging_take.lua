-- The pairs whose judging is to be begun now: they wait, or the lease on them has run out.
-- KEYS  judging
-- ARGV  most  again_seconds: until they are named again, if nobody has begun
-- Returns their ids
-- @include prelude
local now = clock(time)
local found = redis.call('ZRANGEBYSCORE', judging, '-inf', now, 'LIMIT', 0, most)
for _, id in ipairs(found) do redis.call('ZADD', judging, now + tonumber(again_seconds), id) end
return found
