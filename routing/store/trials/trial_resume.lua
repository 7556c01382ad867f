-- Let an open trial decide again although checks of its health have fired: a person has looked at them.
-- KEYS  trial, events
-- ARGV  id: of the trial  alarms: names of the checks, as the person saw them  data: of the event, as JSON
-- Returns 'ok', 'other' (other checks have fired meanwhile), 'quiet' (none has), 'closed' or 'unknown'
-- @include prelude
local now = clock(time)
local state = redis.call('HGET', trial, 'state')
if not state then return 'unknown' end
if state ~= 'open' then return 'closed' end
local fired = redis.call('HGET', trial, 'alarms') or ''
if fired == '' then return 'quiet' end
if fired ~= alarms then return 'other' end
local released = redis.call('HGET', trial, 'released')
redis.call('HSET', trial, 'released', released and (released .. ' ' .. fired) or fired, 'alarms', '')
redis.call('HINCRBY', trial, 'revision', 1)
emit(events, 'trial.resumed', now, id, data)
return 'ok'
