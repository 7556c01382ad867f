-- Record facts about a job, each once, and have it looked at.
-- KEYS  job, signals, due, events
-- ARGV  id: of the job  fence: of the worker's lease that they are from, '' for none, and for each fact  signal: its id  fact: its JSON
-- Returns the number of new facts, -1 when the job is not known, or -2 when the lease was lost
-- @include prelude
local now, new = clock(time), 0
if redis.call('EXISTS', job) == 0 then return -1 end
if fence ~= '' then
  local f = redis.call('HMGET', job, 'state', 'fence')
  if f[1] ~= 'running' or f[2] ~= fence then return -2 end
end
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
