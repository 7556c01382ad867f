-- A person has read a mail that was sent to people.
-- KEYS  mail, events
-- ARGV  id: of the mail  data: of the event, as JSON
-- Returns 1 when nobody had read it before, else 0
-- @include prelude
if redis.call('HGET', mail, 'state') ~= 'queued' then return 0 end
local now = clock(time)
redis.call('HSET', mail, 'state', 'acked', 'settled_at', stamp(now))
emit(events, 'mail.acked', now, id, data)
return 1
