-- Give a case to both versions of a backtest, in one step; where a kept result stands for the champion, to the canary
-- alone. The jobs are shadows: nothing of them is delivered.
-- KEYS  backtest: its record  pairs: its list of pairs  backtests_open
--       champion, canary: records of the jobs (the backtest again if there is none)
--       champion_queue, canary_queue: the broker's lists (the backtest again if none)
--       outbox, unclaimed, jobs, due, events
-- ARGV  id: of the backtest  index: of the pair, which is the number of pairs so far  line: JSON of the pair
--       request: JSON  champion_id, canary_id: of the jobs, the first '' for a kept result
--       champion_fields, canary_fields: JSON lists of fields and values  first: 'champion' or 'canary'
--       champion_message, canary_message: to push, or ''  look_seconds: until the relay looks at the jobs
--       settle_seconds: the deadline
-- FLAGS pushed: the messages are pushed here, so the jobs wait to be claimed, not to be published
-- Returns 'ok' | 'over' (it has ended) | 'stale' (another process was faster) | 'collision' (an id is another job's)
-- @include prelude
local now = clock(time)
local at, look, deadline = stamp(now), now + tonumber(look_seconds), now + tonumber(settle_seconds)
if redis.call('SISMEMBER', backtests_open, id) == 0 then return 'over' end
if redis.call('LLEN', pairs) ~= tonumber(index) then return 'stale' end
if redis.call('EXISTS', canary) > 0 or (champion_id ~= '' and redis.call('EXISTS', champion) > 0) then
  return 'collision'
end
redis.call('RPUSH', pairs, line)

local function accept(record, job, fields, arm)
  redis.call('HSET', record, 'v', '1', 'created_at', at, 'request', request, 'state', 'queued', 'shadow', '1',
    'place', '', 'queue', 'backtest', 'backtest', id, 'pair', index, 'arm', arm,
    'case_pair', canary_id, unpack(cjson.decode(fields)))
  redis.call('ZADD', pushed and unclaimed or outbox, look, job)
  redis.call('ZADD', jobs, at, job)
  redis.call('ZADD', due, deadline, job)
  emit(events, 'job.queued', now, job, cjson.encode({backtest = id, pair = tonumber(index), arm = arm,
    queue = 'backtest', shadow = true}))
end
if champion_id ~= '' then accept(champion, champion_id, champion_fields, 'champion') end
accept(canary, canary_id, canary_fields, 'canary')
local function push(arm)
  if arm == 'champion' and champion_message ~= '' then redis.call('LPUSH', champion_queue, champion_message) end
  if arm == 'canary' and canary_message ~= '' then redis.call('LPUSH', canary_queue, canary_message) end
end
push(first)
push(first == 'champion' and 'canary' or 'champion')
return 'ok'
