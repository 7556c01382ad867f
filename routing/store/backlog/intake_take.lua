-- Take the issues that a forge has told of, the longest waiting first; each is taken again unless it is done by then.
-- KEYS  1 intake  2 intake_notes  3 paused
-- ARGV  1 now  2 most issues  3 seconds until they are taken again
-- Returns issue and note, in turn
-- @include prelude
if redis.call('EXISTS', KEYS[3]) == 1 then return {} end
local now, taken = clock(ARGV[1]), {}
for _, issue in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), issue)
  table.insert(taken, issue)
  table.insert(taken, redis.call('HGET', KEYS[2], issue) or '')
end
return taken
