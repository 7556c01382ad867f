-- Write what a job is worth, once, and hand it to its trial; or put the job off until it can change by time alone.
-- KEYS  job, signals, settlements: of its trial (or the job again), due, trials_moved, events
-- ARGV  id: of the job  seen: number of signals that the score was computed from
--       what: 'settled', 'excluded', 'provisional', 'late', 'aged' or 'defer'  score: or ''  reason
--       settlement: JSON, or ''  trial: its id, or ''  look_again_at: time of the next look, or '' for none
--       data: of the event, as JSON
-- Returns 'ok'|'stale' (newer signals, or it left its trial; the job stays due)|'already'|'missing'
-- @include prelude
if redis.call('EXISTS', job) == 0 then redis.call('ZREM', due, id) return 'missing' end
if redis.call('HLEN', signals) ~= tonumber(seen) then return 'stale' end
if trial ~= '' and redis.call('HGET', job, 'trial') ~= trial then return 'stale' end
local settled = redis.call('HEXISTS', job, 'settled_at') == 1
if look_again_at == '' then redis.call('ZREM', due, id) else redis.call('ZADD', due, look_again_at, id) end
if what == 'defer' then return 'ok' end
if settled and what ~= 'late' then return 'already' end
local now = clock(time)
if what == 'settled' or what == 'excluded' then
  redis.call('HSET', job, 'settled_at', stamp(now), 'score_reason', reason,
    'excluded', what == 'excluded' and '1' or '0')
  if what == 'settled' then redis.call('HSET', job, 'score', score) end
  emit(events, 'job.settled', now, id, data)
end
if what == 'provisional' then redis.call('HSET', job, 'provisional', score) end
if what == 'late' then redis.call('HSET', job, 'late', score) end
if what == 'aged' and redis.call('HSET', job, 'aged', '1') == 0 then return 'already' end
if trial ~= '' then
  redis.call('RPUSH', settlements, settlement)
  redis.call('SADD', trials_moved, trial)
end
return 'ok'
