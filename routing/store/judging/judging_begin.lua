-- Have a pair judged, in an order that is drawn before and written once.
-- KEYS  pair: its record  champion, canary: records of its jobs, the same where a kept result stands for the champion's
--       champion_signals, canary_signals  judging
-- ARGV  id: of the pair  champion_id ('' for none), canary_id: of its jobs
--       first: 'champion' or 'canary', whose work is judged first  champion_seen, canary_seen: signals that it was decided from  retention_seconds
-- Returns 'ok'|'stale' (newer signals: it is decided again)|'already'
-- @include prelude
if redis.call('HEXISTS', champion, 'pair_settled_at') == 1 or redis.call('HEXISTS', canary, 'pair_settled_at') == 1
  or redis.call('HEXISTS', pair, 'first') == 1 then return 'already' end
if redis.call('HLEN', champion_signals) ~= tonumber(champion_seen)
  or redis.call('HLEN', canary_signals) ~= tonumber(canary_seen) then return 'stale' end
redis.call('HSET', pair, 'first', first, 'state', 'waiting', 'champion', champion_id, 'canary', canary_id)
redis.call('EXPIRE', pair, retention_seconds)
redis.call('ZADD', judging, clock(time), id)
return 'ok'
