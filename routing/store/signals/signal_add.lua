-- Record facts about a job, each once, and have it looked at.
-- KEYS  job, signals, due, events
-- ARGV  id: of the job, and for each fact  signal: its id  fact: its JSON
-- Returns the number of new facts, or -1 when the job is not known
-- @include prelude
local now, new = clock(time), 0
if redis.call('EXISTS', job) == 0 then return -1 end
for signal, fact in each() do
  if redis.call('HSETNX', signals, signal, fact) == 1 then
    new = new + 1
    emit(events, 'job.signal', now, id, fact)
  end
end
if new > 0 then
  redis.call('ZADD', due, now, id)
  local ttl = redis.call('TTL', job)
  if ttl >= 0 then redis.call('EXPIRE', signals, ttl + 1) end
end
return new
