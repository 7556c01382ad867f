-- Ask the holder of a session's turn to end it, or note that its agent waits for agents that it has sent out.
-- KEYS  session
-- ARGV  fence: of the turn, or '' for whichever there is  field: 'stop' or 'awaiting'  value: the first one holds
-- Returns 'ok', 'missing', or 'stale' (another turn, or none)
-- @include prelude
local now = clock(time)
local f = redis.call('HMGET', session, 'fence', 'lease_until')
if not f[1] then return 'missing' end
if not f[2] or tonumber(f[2]) <= now or (fence ~= '' and f[1] ~= fence) then return 'stale' end
redis.call('HSETNX', session, field, value)
return 'ok'
