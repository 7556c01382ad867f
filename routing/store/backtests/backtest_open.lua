-- Begin a backtest of two versions of a template; as a step of a way to champion, or by itself.
-- KEYS  template, backtest: its record, backtests_open, events
-- ARGV  id: of the backtest  before: number of backtests of the template, as read
--       fields: JSON list of fields and values  data: of the event, as JSON
--       number: of the version that is tried  way_before: of the template, as read, or ''
--       way: with this backtest, or '' outside ways  mark: its version and this backtest  step, steps: which of which
-- Returns 'ok' | 'stale' (another backtest was begun since) | 'unknown' (no such template)
--         | 'taken' (of a step: its version, its way or the template's trial does not allow it by now)
-- @include prelude
-- @include versions
local now = clock(time)
if redis.call('EXISTS', template) == 0 then return 'unknown' end
if way ~= '' then
  if (redis.call('HGET', template, 'way') or '') ~= way_before then return 'taken' end
  if redis.call('HEXISTS', template, 'trial') == 1 or state_of(template, number) ~= 'pending' then return 'taken' end
end
if (redis.call('HGET', template, 'backtests') or '0') ~= before then return 'stale' end
redis.call('HINCRBY', template, 'backtests', 1)
redis.call('HSET', backtest, 'v', '1', 'state', 'running', 'opened_at', stamp(now), 'revision', '0',
  unpack(cjson.decode(fields)))
if way ~= '' then at_step(template, backtest, number, way, mark, step, steps) end
redis.call('SADD', backtests_open, id)
emit(events, 'backtest.started', now, id, data)
return 'ok'
