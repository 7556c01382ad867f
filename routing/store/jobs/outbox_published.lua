-- Messages of jobs were published: the jobs are unclaimed now, unless a worker was faster.
-- KEYS  outbox, unclaimed, and for each job  job
-- ARGV  look_seconds: until somebody sees whether they were claimed, and for each job  id
-- Returns how many are unclaimed
-- @include prelude
local now, moved = clock(time), 0
for job, id in each() do
  if redis.call('EXISTS', job) == 1 then redis.call('HSET', job, 'published_at', stamp(now)) end
  if redis.call('ZREM', outbox, id) == 1 then
    redis.call('ZADD', unclaimed, now + tonumber(look_seconds), id)
    moved = moved + 1
  end
end
return moved
