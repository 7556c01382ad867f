-- Take issues that deliveries named, the longest waiting first; each is taken again unless it is done by then.
-- KEYS  intake, intake_notes, paused
-- ARGV  most: issues  lease_seconds: until they are taken again
-- Returns issue and note, in turn
-- @include prelude
if redis.call('EXISTS', paused) == 1 then return {} end
local now, taken = clock(time), {}
for _, issue in ipairs(redis.call('ZRANGEBYSCORE', intake, '-inf', now, 'LIMIT', 0, most)) do
  redis.call('ZADD', intake, now + tonumber(lease_seconds), issue)
  table.insert(taken, issue)
  table.insert(taken, redis.call('HGET', intake_notes, issue) or '')
end
return taken
