-- Write what a job is worth, once, and hand it to its trial; or put the job off until it can change by time alone.
-- KEYS  1 job  2 signals  3 due  4 settlements of its trial (or job)  5 trials:moved  6 events
-- ARGV  1 now  2 job id  3 number of signals that the score was computed from
--       4 what: 'settled', 'excluded', 'provisional', 'late' or 'defer'  5 score or ''  6 reason
--       7 settlement JSON, or ''  8 trial id or ''  9 time of the next look, or '' for none  10 event data
-- Returns 'ok'|'stale' (newer signals, or it left its trial; the job stays due)|'already'|'missing'
-- @include prelude
local job, signals, due, settlements, moved, events = unpack(KEYS)
local id, what = ARGV[2], ARGV[4]
if redis.call('EXISTS', job) == 0 then redis.call('ZREM', due, id) return 'missing' end
if redis.call('HLEN', signals) ~= tonumber(ARGV[3]) then return 'stale' end
if ARGV[8] ~= '' and redis.call('HGET', job, 'trial') ~= ARGV[8] then return 'stale' end
local settled = redis.call('HEXISTS', job, 'settled_at') == 1
if ARGV[9] == '' then redis.call('ZREM', due, id) else redis.call('ZADD', due, ARGV[9], id) end
if what == 'defer' then return 'ok' end
if settled and what ~= 'late' then return 'already' end
local now = clock(ARGV[1])
if what == 'settled' or what == 'excluded' then
  redis.call('HSET', job, 'settled_at', stamp(now), 'score_reason', ARGV[6],
    'excluded', what == 'excluded' and '1' or '0')
  if what == 'settled' then redis.call('HSET', job, 'score', ARGV[5]) end
  emit(events, 'job.settled', now, id, ARGV[10])
end
if what == 'provisional' then redis.call('HSET', job, 'provisional', ARGV[5]) end
if what == 'late' then redis.call('HSET', job, 'late', ARGV[5]) end
if ARGV[8] ~= '' then
  redis.call('RPUSH', settlements, ARGV[7])
  redis.call('SADD', moved, ARGV[8])
end
return 'ok'
