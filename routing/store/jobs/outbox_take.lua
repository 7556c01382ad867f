-- Take what is due of the outbox, or of the jobs whose message nobody has claimed, and have each looked at again.
-- The entry stays until the job is claimed: if a publication, or a message, is lost, another follows.
-- KEYS  index: the list to take from, outbox or unclaimed  paused
-- ARGV  most: jobs to take  again_seconds: until they are looked at again
-- Returns the job ids
-- @include prelude
if redis.call('EXISTS', paused) == 1 then return {} end
local now = clock(time)
local ids = redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, most)
for _, id in ipairs(ids) do redis.call('ZADD', index, now + tonumber(again_seconds), id) end
return ids
