-- Let a backtest decide again although checks of its health have fired: a person has looked at them.
-- KEYS  backtest, events
-- ARGV  id: of the backtest  alarms: names of the checks, as the person saw them  data: of the event, as JSON
-- Returns 'ok' | 'stale' (other checks have fired meanwhile) | 'quiet' (none has) | 'over' (it has ended)
-- @include prelude
local now = clock(time)
if redis.call('HGET', backtest, 'state') ~= 'running' then return 'over' end
local fired = redis.call('HGET', backtest, 'alarms') or ''
if fired == '' then return 'quiet' end
if fired ~= alarms then return 'stale' end
local released = redis.call('HGET', backtest, 'released')
redis.call('HSET', backtest, 'released', released and (released .. ' ' .. fired) or fired, 'alarms', '')
redis.call('HINCRBY', backtest, 'revision', 1)
emit(events, 'backtest.resumed', now, id, data)
return 'ok'
