-- Let an open trial decide again although checks of its health have fired, or a person holds it: one has looked at it.
-- KEYS  trial, events
-- ARGV  id: of the trial  alarms: names of the checks, as the person saw them  data: of the event, as JSON
-- Returns 'ok', 'other' (other checks have fired meanwhile), 'quiet' (nothing holds it), 'closed' or 'unknown'
-- @include prelude
local now = clock(time)
local state = redis.call('HGET', trial, 'state')
if not state then return 'unknown' end
if state ~= 'open' then return 'closed' end
local fired = redis.call('HGET', trial, 'alarms') or ''
local hold = redis.call('HEXISTS', trial, 'hold_by') == 1
if fired == '' and not hold then return 'quiet' end
if fired ~= alarms then return 'other' end
if fired ~= '' then
  local released = redis.call('HGET', trial, 'released')
  redis.call('HSET', trial, 'released', released and (released .. ' ' .. fired) or fired, 'alarms', '')
end
redis.call('HDEL', trial, 'hold_by', 'hold_reason', 'hold_at')
redis.call('HINCRBY', trial, 'revision', 1)
emit(events, 'trial.resumed', now, id, data)
return 'ok'
