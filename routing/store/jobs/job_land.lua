-- A waiting job's branch is about to be merged: from here on it is too late to cancel it.
-- KEYS  1 job
-- ARGV  1 now (unused)  2 fence as read
-- Returns 1 when it may be merged, else 0: it was cancelled, or is another run's by now
local f = redis.call('HMGET', KEYS[1], 'state', 'fence')
if f[1] ~= 'waiting' or f[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'merging', '1')
return 1
