-- Note why the version that waits for a trial, or for the next step of its way, gets none, so that people hear of it once.
-- KEYS  template, events
-- ARGV  name: of the template  number: of the version  reason: in words
-- Returns 1 when this is new, 0 when it was noted before, or another version waits by now
-- @include prelude
-- @include versions
if redis.call('HGET', template, 'waiting') ~= number and on_way(template) ~= number then return 0 end
local note = number .. ' ' .. reason
if redis.call('HGET', template, 'held') == note then return 0 end
redis.call('HSET', template, 'held', note)
emit(events, 'candidate.held', clock(time), name .. '@v' .. number, cjson.encode({reason = reason}))
return 1
