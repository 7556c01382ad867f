-- End a way to champion between two of its steps: the next one is not begun.
-- KEYS  template, events
-- ARGV  way: as read  subject: of the event  data: of the event, as JSON
-- Returns 1, or 0 when it is another one by now, or has ended
-- @include prelude
-- @include versions
if (redis.call('HGET', template, 'way') or '') ~= way then return 0 end
end_way(template)
emit(events, 'candidate.way_stopped', clock(time), subject, data)
return 1
