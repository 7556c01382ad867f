-- A waiting job's work is done as far as the fleet can say, and a person is to merge it: note it once a commit, with
-- the facts that are known by then.
-- KEYS  job, signals: of the job  issue: its issue, or the job again  due, events
-- ARGV  id: of the job  fence: as read  commit: that is in review  reason
--       event, data: its kind and its JSON  facts: JSON list of signal ids and signals
-- Returns 1 when it was noted now, else 0: it was noted before, or is another run's by now
-- @include prelude
local f = redis.call('HMGET', job, 'state', 'fence', 'in_review')
if f[1] ~= 'waiting' or f[2] ~= fence or f[3] == commit then return 0 end
local now, new = clock(time), cjson.decode(facts)
redis.call('HSET', job, 'in_review', commit, 'reason', reason)
if issue ~= job and redis.call('HGET', issue, 'active') == id then
  redis.call('PERSIST', issue) -- a review may take longer than anything is kept; the job's end sets a time again
end
for i = 1, #new, 2 do redis.call('HSETNX', signals, new[i], new[i + 1]) end
if #new > 0 then redis.call('ZADD', due, 'LT', now, id) end
emit(events, event, now, id, data)
return 1
