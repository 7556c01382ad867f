-- A waiting job's branch is about to be merged: from here on it is too late to cancel it.
-- KEYS  job
-- ARGV  fence: as read
-- Returns 1 when it may be merged, else 0: it was cancelled, or is another run's by now
local f = redis.call('HMGET', job, 'state', 'fence')
if f[1] ~= 'waiting' or f[2] ~= fence then return 0 end
redis.call('HSET', job, 'merging', '1')
return 1
