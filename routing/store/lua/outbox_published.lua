-- Messages of jobs were published: the jobs are unclaimed now, unless a worker was faster.
-- KEYS  1 outbox  2 unclaimed
-- ARGV  1 now  2 seconds until somebody sees whether they were claimed  3… job ids
-- Returns how many are unclaimed
-- @include prelude
local ends, moved = clock(ARGV[1]) + tonumber(ARGV[2]), 0
for i = 3, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    redis.call('ZADD', KEYS[2], ends, ARGV[i])
    moved = moved + 1
  end
end
return moved
