-- The issue of a final job was informed of its end: the issue is free for another job.
-- KEYS  issue, effects
-- ARGV  id: of the job  retention_seconds: for which the issue is remembered  spent_usd: what the job has cost
-- Returns 1 when this call did it, else 0
local done = redis.call('SREM', effects, id)
if redis.call('HGET', issue, 'active') == id then
  redis.call('HDEL', issue, 'active')
  redis.call('HINCRBY', issue, 'rounds', 1)
  if tonumber(spent_usd) > 0 then redis.call('HINCRBYFLOAT', issue, 'spent_usd', spent_usd) end
  redis.call('EXPIRE', issue, retention_seconds)
end
return done
