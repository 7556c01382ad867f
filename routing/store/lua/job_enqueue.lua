-- Accept a job: record, order of dispatch and frozen bet, outbox entry, event, and the message itself when the
-- broker is this server: one step.
-- KEYS  1 job  2 template  3 trial (or template)  4 dispatches (or template)
--       5 outbox, or unclaimed when the message is pushed here  6 jobs  7 due  8 events
--       9 idempotency key (or job)  10 issue (or job)  11 the broker's queue (or job)
-- ARGV  1 now  2 job id  3 revision of the route as read  4 JSON list of the job's fields and values
--       5 trial id or ''  6 arm or ''  7 stratum  8 JSON of the dispatch without its end, or ''
--       9 message to push or ''  10 seconds until the relay looks at the job  11 settle deadline, seconds
--       12 '1' with an idempotency key  13 '1' with an issue  14 seconds for which both are kept  15 event data
-- Returns {'ok', sequence or ''} | {'same', job id} | {'active', job id} | {'stale'} | {'collision'}
-- @include prelude
local job, template, trial_key, dispatches, outbox, jobs, due, events, once, issue, queue = unpack(KEYS)
local id, trial, arm = ARGV[2], ARGV[5], ARGV[6]
if ARGV[12] == '1' then
  local first = redis.call('GET', once)
  if first then return {'same', first} end
end
if ARGV[13] == '1' then
  local active = redis.call('HGET', issue, 'active')
  if active then return {'active', active} end
end
if redis.call('HGET', template, 'revision') ~= ARGV[3] then return {'stale'} end
if redis.call('EXISTS', job) == 1 then return {'collision'} end
local now = clock(ARGV[1])
local at = stamp(now)
redis.call('HSET', job, 'created_at', at, unpack(cjson.decode(ARGV[4])))
local sequence = ''
if trial ~= '' then
  local frozen = redis.call('HMGET', trial_key, 'baseline:' .. ARGV[7], 'baseline', 'guardrail_baselines')
  local baseline = frozen[1] or frozen[2]
  sequence = string.format('%d', redis.call('LLEN', dispatches))
  redis.call('RPUSH', dispatches, ARGV[8] .. ',"index":' .. sequence .. ',"baseline":' .. baseline
    .. ',"guardrail_baselines":' .. frozen[3] .. '}')
  redis.call('HINCRBY', trial_key, 'dispatched:' .. arm, 1)
  redis.call('HSET', job, 'sequence', sequence, 'baseline', baseline, 'guardrail_baselines', frozen[3])
end
redis.call('ZADD', outbox, now + tonumber(ARGV[10]), id)
redis.call('ZADD', jobs, at, id)
redis.call('ZADD', due, now + tonumber(ARGV[11]), id)
if ARGV[12] == '1' then redis.call('SET', once, id, 'EX', ARGV[14]) end
if ARGV[13] == '1' then
  redis.call('HSET', issue, 'active', id)
  redis.call('EXPIRE', issue, ARGV[14])
end
emit(events, 'job.queued', now, id, ARGV[15])
if ARGV[9] ~= '' then redis.call('LPUSH', queue, ARGV[9]) end
return {'ok', sequence}
