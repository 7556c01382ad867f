-- Turn the pause switch.
-- KEYS  1 paused  2 events
-- ARGV  1 now  2 '1' to pause, '' to resume  3 reason  4 event  5 event data
-- Returns 1 when something changed, else 0
-- @include prelude
local paused = redis.call('EXISTS', KEYS[1]) == 1
if paused == (ARGV[2] == '1') then return 0 end
if paused then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[3]) end
emit(KEYS[2], ARGV[4], clock(ARGV[1]), 'fleet', ARGV[5])
return 1
