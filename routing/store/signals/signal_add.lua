-- Record facts about a job, each once, and have it looked at.
-- KEYS  1 job  2 signals  3 due  4 events
-- ARGV  1 now  2 job id  3… signal id and signal JSON, in turn
-- Returns the number of new facts, or -1 when the job is not known
-- @include prelude
local now, new = clock(ARGV[1]), 0
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
for i = 3, #ARGV, 2 do
  if redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1]) == 1 then
    new = new + 1
    emit(KEYS[4], 'job.signal', now, ARGV[2], ARGV[i + 1])
  end
end
if new > 0 then
  redis.call('ZADD', KEYS[3], now, ARGV[2])
  local ttl = redis.call('TTL', KEYS[1])
  if ttl >= 0 then redis.call('EXPIRE', KEYS[2], ttl + 1) end
end
return new
