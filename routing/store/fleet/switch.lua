-- Turn the pause switch.
-- KEYS  paused, events
-- ARGV  reason  kind: of the event  data: of the event, as JSON
-- FLAGS  pause: stop dispatch; without it dispatch goes on
-- Returns 1 when something changed, else 0
-- @include prelude
local is_paused = redis.call('EXISTS', paused) == 1
if is_paused == pause then return 0 end
if pause then redis.call('SET', paused, reason) else redis.call('DEL', paused) end
emit(events, kind, clock(time), 'fleet', data)
return 1
