-- Begin a backtest of two versions of a template.
-- KEYS  template, backtest: its record, backtests_open, events
-- ARGV  id: of the backtest  before: number of backtests of the template, as read
--       fields: JSON list of fields and values  data: of the event, as JSON
-- Returns 'ok' | 'stale' (another backtest was begun since) | 'unknown' (no such template)
-- @include prelude
local now = clock(time)
if redis.call('EXISTS', template) == 0 then return 'unknown' end
if (redis.call('HGET', template, 'backtests') or '0') ~= before then return 'stale' end
redis.call('HINCRBY', template, 'backtests', 1)
redis.call('HSET', backtest, 'v', '1', 'state', 'running', 'opened_at', stamp(now), 'revision', '0',
  unpack(cjson.decode(fields)))
redis.call('SADD', backtests_open, id)
emit(events, 'backtest.started', now, id, data)
return 'ok'
