-- Write what became of pairs of a backtest, and its end if that follows from it, if nobody else was faster.
-- KEYS  backtest: its record  settlements: its list  backtests_open, backtests_refusing, events
-- ARGV  id: of the backtest  revision: of the record as read  lines: JSON list of settlements, each JSON
--       evidence: JSON  state: '' while it goes on  reason  data: of the event of its end, as JSON
--       refuses: '1' when its version is to be rejected with that end, else ''
-- Returns 'ok' | 'stale' (somebody else advanced it since it was read) | 'over' (it has ended)
-- @include prelude
local now = clock(time)
if redis.call('HGET', backtest, 'state') ~= 'running' then return 'over' end
if redis.call('HGET', backtest, 'revision') ~= revision then return 'stale' end
for _, line in ipairs(cjson.decode(lines)) do redis.call('RPUSH', settlements, line) end
redis.call('HINCRBY', backtest, 'revision', 1)
if evidence ~= '' then redis.call('HSET', backtest, 'evidence', evidence) end
if state ~= '' then
  redis.call('HSET', backtest, 'state', state, 'reason', reason, 'closed_at', stamp(now))
  redis.call('SREM', backtests_open, id)
  if refuses == '1' then redis.call('SADD', backtests_refusing, id) end
  emit(events, 'backtest.ended', now, id, data)
end
return 'ok'
