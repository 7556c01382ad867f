-- Take what is due of the outbox, or of the jobs whose message nobody has claimed, and have each looked at again.
-- The entry stays until the job is claimed: if a publication, or a message, is lost, another follows.
-- KEYS  1 the list to take from (outbox or unclaimed)  2 paused
-- ARGV  1 now  2 most jobs to take  3 seconds until they are looked at again
-- Returns the job ids
-- @include prelude
if redis.call('EXISTS', KEYS[2]) == 1 then return {} end
local now = clock(ARGV[1])
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), id) end
return ids
