-- Write what the judge says of both halves of a pair, or give the pair back to be judged by another worker.
-- KEYS  pair: its record  champion, canary: records of its jobs  champion_signals, canary_signals  judging, due, events
-- ARGV  id: of the pair  champion_id, canary_id: of its jobs  fence: of the claim
--       champion_fact, canary_fact: JSON of the facts, each '' where there is nothing to say
--        signal: id of both  wait_seconds: until it is begun again  data: of the event, as JSON
-- FLAGS again: it is given back, and this attempt does not count
-- Returns 'ok'|'stale': another worker has it, or it is done
-- @include prelude
local now = clock(time)
local f = redis.call('HMGET', pair, 'state', 'fence')
if f[2] ~= fence then return 'stale' end
if f[1] ~= 'running' then return f[1] == (again and 'waiting' or 'done') and 'ok' or 'stale' end -- the answer was lost
if again then
  redis.call('HINCRBY', pair, 'attempts', -1)
  redis.call('HSET', pair, 'state', 'waiting')
  redis.call('ZADD', judging, now + tonumber(wait_seconds), id)
  return 'ok'
end
local function say(job, signals, job_id, fact)
  if fact == '' or redis.call('EXISTS', job) == 0 then return end
  redis.call('HSETNX', signals, signal, fact)
  redis.call('ZADD', due, now, job_id)
  local ttl = redis.call('TTL', job)
  if ttl >= 0 then redis.call('EXPIRE', signals, ttl + 1) end
end
say(champion, champion_signals, champion_id, champion_fact)
say(canary, canary_signals, canary_id, canary_fact)
redis.call('HSET', pair, 'state', 'done')
redis.call('HDEL', pair, 'work:champion', 'work:canary')
redis.call('ZREM', judging, id)
emit(events, 'pair.judged', now, id, data)
return 'ok'
