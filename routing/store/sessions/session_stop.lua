-- Ask the holder of a session's turn to end it, or note that the agent waits for those that it has sent out.
-- KEYS  1 session
-- ARGV  1 now  2 fence of the turn, or '' for whichever there is  3 field, 'stop' or 'awaiting'  4 value
-- Returns 'ok'|'missing'|'stale' (another turn, or none)
-- @include prelude
-- @include session
local session, now = KEYS[1], clock(ARGV[1])
local f = redis.call('HMGET', session, 'fence', 'lease_until')
if not f[1] then return 'missing' end
if not f[2] or tonumber(f[2]) <= now or (ARGV[2] ~= '' and f[1] ~= ARGV[2]) then return 'stale' end
redis.call('HSETNX', session, ARGV[3], ARGV[4])
return 'ok'
