-- Write what became of a pair into the ledger of its trial, once.
-- KEYS  champion, canary: records of its jobs  champion_signals, canary_signals  settlements: of the trial
--       trials_moved, events
-- ARGV  id: of the champion's job  trial: its id  champion_seen, canary_seen: signals that it was computed from
--       settlement: JSON  data: of the event, as JSON
-- Returns 'ok'|'stale' (newer signals: it is computed again)|'already'|'missing'
-- @include prelude
if redis.call('EXISTS', champion, canary) == 0 then return 'missing' end
if redis.call('HEXISTS', champion, 'pair_settled_at') == 1
  or redis.call('HEXISTS', canary, 'pair_settled_at') == 1 then return 'already' end
if redis.call('HLEN', champion_signals) ~= tonumber(champion_seen)
  or redis.call('HLEN', canary_signals) ~= tonumber(canary_seen) then return 'stale' end
local now = clock(time)
for _, job in ipairs({champion, canary}) do -- one of the two may have expired
  if redis.call('EXISTS', job) == 1 then redis.call('HSET', job, 'pair_settled_at', stamp(now)) end
end
redis.call('RPUSH', settlements, settlement)
redis.call('SADD', trials_moved, trial)
emit(events, 'pair.settled', now, id, data)
return 'ok'
