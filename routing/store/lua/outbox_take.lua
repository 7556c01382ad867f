-- Take the jobs whose publication is due, and put off the next one: if a message is lost, a later one follows.
-- KEYS  1 outbox  2 paused
-- ARGV  1 now  2 most jobs to take  3 seconds until they are due again
-- Returns the job ids
-- @include prelude
if redis.call('EXISTS', KEYS[2]) == 1 then return {} end
local now = clock(ARGV[1])
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), id) end
return ids
