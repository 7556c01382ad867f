-- A person has read a mail that was sent to people.
-- KEYS  1 mail  2 events
-- ARGV  1 now  2 mail id  3 event data
-- Returns 1 when it had not been read before, else 0
-- @include prelude
if redis.call('HGET', KEYS[1], 'state') ~= 'queued' then return 0 end
local now = clock(ARGV[1])
redis.call('HSET', KEYS[1], 'state', 'acked', 'settled_at', stamp(now))
emit(KEYS[2], 'mail.acked', now, ARGV[2], ARGV[3])
return 1
