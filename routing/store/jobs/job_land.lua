-- A waiting job's branch is about to be merged: from here on it is too late to cancel it; or it was not merged.
-- KEYS  job
-- ARGV  fence: as read
-- FLAGS off: it surely was not merged, so it may be cancelled again
-- Returns 1 when it may be merged, else 0: it was cancelled, or is another run's by now
local f = redis.call('HMGET', job, 'state', 'fence')
if f[1] ~= 'waiting' or f[2] ~= fence then return 0 end
if off then redis.call('HDEL', job, 'merging') else redis.call('HSET', job, 'merging', '1') end
return 1
