-- A final job's issue was told: the issue is free for another job.
-- KEYS  1 effects  2 issue
-- ARGV  1 job id  2 seconds for which the issue is remembered  3 what the job has cost, in USD
-- Returns 1 when this call did it, else 0
local done = redis.call('SREM', KEYS[1], ARGV[1])
if redis.call('HGET', KEYS[2], 'active') == ARGV[1] then
  redis.call('HDEL', KEYS[2], 'active')
  redis.call('HINCRBY', KEYS[2], 'rounds', 1)
  if tonumber(ARGV[3]) > 0 then redis.call('HINCRBYFLOAT', KEYS[2], 'spent_usd', ARGV[3]) end
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
return done
