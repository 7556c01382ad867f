-- Messages of jobs were published: the jobs are unclaimed now, unless a worker was faster.
-- KEYS  1 outbox  2 unclaimed  3… jobs
-- ARGV  1 now  2 seconds until somebody sees whether they were claimed  3… job ids
-- Returns how many are unclaimed
-- @include prelude
local now, moved = clock(ARGV[1]), 0
for i = 3, #ARGV do
  if redis.call('EXISTS', KEYS[i]) == 1 then redis.call('HSET', KEYS[i], 'published_at', stamp(now)) end
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ARGV[i])
    moved = moved + 1
  end
end
return moved
